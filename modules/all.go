// Package modules lists all families of directives. The order of a list is the order inside a phase.
package modules

import (
	"starling/conf"
	"starling/modules/core"
	streamaccess "starling/modules/stream/access"
	streamaccesslog "starling/modules/stream/accesslog"
	streamcore "starling/modules/stream/core"
	streamgeoip2 "starling/modules/stream/geoip2"
	streamhealthcheck "starling/modules/stream/healthcheck"
	streamkeyval "starling/modules/stream/keyval"
	streamlimitconn "starling/modules/stream/limitconn"
	streamlookup "starling/modules/stream/lookup"
	"starling/modules/stream/pass"
	streamproxy "starling/modules/stream/proxy"
	streamrealip "starling/modules/stream/realip"
	"starling/modules/stream/returns"
	"starling/modules/stream/set"
	streamssl "starling/modules/stream/ssl"
	"starling/modules/stream/sslpreread"
	streamupstream "starling/modules/stream/upstream"
	"starling/modules/stream/zonesync"
	"starling/modules/web/access"
	"starling/modules/web/accesslog"
	"starling/modules/web/addition"
	"starling/modules/web/api"
	"starling/modules/web/authbasic"
	"starling/modules/web/authrequest"
	"starling/modules/web/autoindex"
	"starling/modules/web/brotli"
	"starling/modules/web/browser"
	"starling/modules/web/charset"
	webcore "starling/modules/web/core"
	"starling/modules/web/dashboard"
	"starling/modules/web/emptygif"
	"starling/modules/web/geoip2"
	"starling/modules/web/grpc"
	"starling/modules/web/gunzip"
	"starling/modules/web/gzip"
	"starling/modules/web/gzipstatic"
	"starling/modules/web/headers"
	"starling/modules/web/healthcheck"
	"starling/modules/web/keyval"
	"starling/modules/web/limitconn"
	"starling/modules/web/limitreq"
	"starling/modules/web/lookup"
	"starling/modules/web/memcached"
	"starling/modules/web/metrics"
	"starling/modules/web/mirror"
	"starling/modules/web/otel"
	"starling/modules/web/proxy"
	"starling/modules/web/randomindex"
	"starling/modules/web/realip"
	"starling/modules/web/referer"
	"starling/modules/web/rewrite"
	"starling/modules/web/securelink"
	"starling/modules/web/slice"
	"starling/modules/web/ssi"
	webssl "starling/modules/web/ssl"
	"starling/modules/web/static"
	"starling/modules/web/stubstatus"
	"starling/modules/web/sub"
	"starling/modules/web/tryfiles"
	"starling/modules/web/upstream"
	"starling/modules/web/userid"
	"starling/modules/web/zstd"
	"starling/stream"
	"starling/web"
)

// Main are the families of the main level.
func Main() []*conf.Module {
	return []*conf.Module{&core.Module, core.Ignored(), core.Off()}
}

// Web are the families of http.
func Web() []*web.Module {
	return []*web.Module{
		&webcore.Module,
		&webssl.Module,
		&realip.Module, // before all families that read the client's address
		&keyval.Module,
		&lookup.Module,
		&geoip2.Module,
		&referer.Module,
		&browser.Module,
		&securelink.Module,
		&otel.Module, // before rewrite, which can end the phase
		&rewrite.Module,
		&limitreq.Module, // before limit_conn, as in nginx: a delayed request is not yet counted
		&limitconn.Module,
		&access.Module,
		&authbasic.Module,
		&authrequest.Module,
		&tryfiles.Module,
		&mirror.Module,
		&upstream.Module,
		&proxy.Module,
		&grpc.Module,
		&memcached.Module,
		&healthcheck.Module, // after the families whose servers it checks
		&api.Module,
		&dashboard.Module,
		&stubstatus.Module,
		&emptygif.Module,
		&metrics.Module,
		&slice.Module, // its filter makes the response that those of the other families see
		&headers.Module,
		&userid.Module,
		&gunzip.Module,
		&addition.Module,
		&sub.Module,
		&charset.Module,
		&ssi.Module,
		&zstd.Module, // the filters from here on see what the other families added
		&brotli.Module,
		&gzip.Module,
		&accesslog.Module,
		&randomindex.Module, // before static, whose index files it replaces
		&gzipstatic.Module,
		&static.Module,    // it answers what no other family answered
		&autoindex.Module, // after the index files of static
	}
}

// Stream are the families of stream.
func Stream() []*stream.Module {
	return []*stream.Module{
		&streamcore.Module,
		&streamssl.Module,
		&streamrealip.Module, // before all families that read the client's address
		&streamkeyval.Module,
		&streamlookup.Module,
		&streamgeoip2.Module,
		&streamlimitconn.Module,
		&streamaccess.Module,
		&set.Module,
		&sslpreread.Module,
		&streamaccesslog.Module,
		&returns.Module,
		&streamupstream.Module,
		&streamproxy.Module,
		&streamhealthcheck.Module, // after the family whose servers it checks
		&pass.Module,
		&zonesync.Module, // last: it starts when everything else has started
	}
}
