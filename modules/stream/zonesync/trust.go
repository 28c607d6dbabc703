package zonesync

import (
	"crypto/tls"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/ssl"
	"starling/stream"
)

// distrust verifies this node's own certificates with the files that verify its peers, because the nodes of a cluster
// have the same files: with a certificate that is from another authority, expired or for another use, every peer would
// reject the node.
func distrust(b *stream.Block, s *Settings, client *ssl.Client, own *tls.Config, now time.Time) error {
	server := b.Server.TLS
	if server == nil {
		return nil
	}
	if b.Server.VerifiesClients {
		for i := range own.Certificates {
			if code := server.Trusts(&own.Certificates[i], now); code != ssl.VerifyOK {
				return untrusted(b, "zone_sync_ssl_certificate", &own.Certificates[i], "ssl_verify_client", code)
			}
		}
	}
	if s.TLS.Verify {
		for i := range server.Config.Certificates {
			if code := client.Trusts(&server.Config.Certificates[i], now); code != ssl.VerifyOK {
				return untrusted(b, "ssl_certificate", &server.Config.Certificates[i], "zone_sync_ssl_verify", code)
			}
		}
	}
	return nil
}

func untrusted(b *stream.Block, directive string, shown *tls.Certificate, by string, code ssl.VerifyCode) error {
	return conf.At(b.Scope.Node,
		"the certificate of \"%s\", \"%s\" issued by \"%s\", fails \"%s\" of this node itself (%d:%v): "+
			"peers with the same trusted certificates reject it",
		directive, shown.Leaf.Subject, shown.Leaf.Issuer, by, int(code), code)
}

// checkTrust keeps a reload from isolating a connected node: such a reload is rejected. A node that starts, or whose
// certificates were no better before, serves its clients and logs the problem.
func (s *state) checkTrust(p *plan.Plan, now time.Time) error {
	err := s.distrust(now)
	if err == nil {
		return nil
	}
	if old := oldState(p); old != nil && (old.distrust == nil || old.distrust(now) == nil) {
		return err
	}
	p.Log.Logf(logs.Error, "%v", err)
	return nil
}
