package harness

// SetOne is the API's path of the key-value zone "one".
const SetOne = "/api/9/http/keyvals/one"

// KeyvalHTTP is the seed's key-value block, completed with addresses and a state folder.
const KeyvalHTTP = `http {
	keyval_zone zone=one:32k state={{.Dir}}/state.one.keyval sync;
	keyval $arg_text $text zone=one;
	server {
		listen {{.IP}}:8080;
		location / { return 200 $text; }
		location /api { api write=on; }
	}
}
`

// Members is a sync server with all nodes of a test in its list.
const Members = `stream { server { listen {{.IP}}:9000; zone_sync;
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// ShareOne is a cluster that shares a key-value zone in memory; EXTRA are further lines of the sync server.
const ShareOne = `http {
	keyval_zone zone=one:64m sync;
	keyval $arg_text $text zone=one;
	server {
		listen {{.IP}}:8080;
		keepalive_requests 1000000000;
		location / { return 200 $text; }
		location /api { api write=on; }
	}
}
stream { server { listen {{.IP}}:9000; zone_sync; EXTRA
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// Sticky is the seed's sticky learn block, completed with a resolver and addresses.
const Sticky = `http {
	resolver {{.Net}}.53:5353 valid=1s;
	upstream my_backend {
		zone my_backend 64k;
		SERVERS
		sticky learn zone=sessions:1m
			create=$upstream_cookie_session
			lookup=$cookie_session
			sync;
	}
	server {
		listen {{.IP}}:8080;
		location / { proxy_pass http://my_backend; }
		location /api { api write=on; }
	}
}
` + Members

// The certificates and checks of a node in a cluster with TLS.
const (
	Verified = "zone_sync_ssl_verify on; zone_sync_ssl_trusted_certificate {{.Dir}}/ca.pem; "
	Shown    = "zone_sync_ssl_certificate {{.Dir}}/cert.pem; zone_sync_ssl_certificate_key {{.Dir}}/key.pem; "
	Asked    = "ssl_verify_client on; ssl_client_certificate {{.Dir}}/ca.pem; "
)
