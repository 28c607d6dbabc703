package demo

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// configuration is the nginx.conf of a node: the configurations of the guide on runtime state sharing, in one file.
func configuration(n *node, count int) string {
	var members strings.Builder
	for i := 1; i <= count; i++ {
		fmt.Fprintf(&members, "        zone_sync_server %s:%d;\n", address(i), syncPort)
	}
	var servers strings.Builder
	for i := range backendCount {
		fmt.Fprintf(&servers, "        server %s;\n", backendAddress(i))
	}
	return fmt.Sprintf(layout, n.name, n.dir, servers.String(), n.ip, httpPort, syncPort, members.String())
}

// layout is the text of configuration: name, folder, servers, address, http port, sync port, members.
const layout = `# %[1]s of the starling demo. Change it and: kill -HUP $(cat %[2]s/starling.pid)
daemon off;
pid %[2]s/starling.pid;
error_log %[2]s/error.log notice;
events {}

http {
    # Key-value pairs: set through the API of any node, read on all, kept over kill -9.
    keyval_zone zone=one:1m state=%[2]s/state/one.keyval sync;
    keyval $arg_text $text zone=one;

    # One limit for the whole cluster: 3,000 requests at once, then one a minute.
    limit_req_zone $server_name zone=req:1m rate=1r/m sync;

    upstream my_backend {
        zone my_backend 64k;
%[3]s
        # A session stays with the server that answered it first, whichever node the client comes to.
        sticky learn zone=sessions:1m
            create=$upstream_cookie_session
            lookup=$cookie_session
            sync;
    }

    server {
        listen %[4]s:%[5]d;
        server_name demo;
        access_log %[2]s/access.log;

        location / {
            proxy_pass http://my_backend;
        }
        location /text {
            return 200 $text;
        }
        location /limited {
            limit_req zone=req burst=2999 nodelay;
            proxy_pass http://my_backend;
        }
        location = /dashboard.html {
            dashboard;
            allow 127.0.0.0/8;
            deny all;
        }
        location /api {
            api write=on;
            allow 127.0.0.0/8;
            deny all;
        }
    }
}

stream {
    server {
        listen %[4]s:%[6]d ssl;
        ssl_certificate         %[2]s/cert.pem;
        ssl_certificate_key     %[2]s/key.pem;
        ssl_verify_client       on;
        ssl_trusted_certificate %[2]s/ca.pem;

        zone_sync;
%[7]s
        zone_sync_ssl                     on;
        zone_sync_ssl_verify              on;
        zone_sync_ssl_trusted_certificate %[2]s/ca.pem;
        zone_sync_ssl_certificate         %[2]s/cert.pem;
        zone_sync_ssl_certificate_key     %[2]s/key.pem;
    }
}
`

// backendCount is how many servers stand behind the nodes.
const backendCount = 3

func backendAddress(i int) string { return fmt.Sprintf("127.0.0.1:%d", 9101+i) }

// backends are small web servers inside the demo's own process.
type backends struct{ servers []*http.Server }

// startBackends starts all backends. Each sends its name and sets the cookie requested with ?session=.
func startBackends() (*backends, error) {
	b := &backends{}
	for i := range backendCount {
		l, err := net.Listen("tcp", backendAddress(i))
		if err != nil {
			b.stop()
			return nil, fmt.Errorf("a demo backend: %w", err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s := r.URL.Query().Get("session"); s != "" {
				http.SetCookie(w, &http.Cookie{Name: "session", Value: s})
			}
			fmt.Fprintf(w, "backend %d\n", i+1)
		})}
		b.servers = append(b.servers, srv)
		go func() { _ = srv.Serve(l) }() // returns when stop closes it
	}
	return b, nil
}

func (b *backends) stop() {
	for _, s := range b.servers {
		_ = s.Close() // the process ends with it
	}
}
