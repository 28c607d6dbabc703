package pods

import (
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"

	"starling/deploy/test/chart"
	"starling/lib/certs"
)

// TestConfigurationsAreValid: the image accepts the configuration that each file of values makes, in its place, as the
// user of the pods.
func TestConfigurationsAreValid(t *testing.T) {
	files, err := filepath.Glob(chart.ValuesFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of values: %v", len(files), err)
	}
	ca, err := certs.NewAuthority("any")
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := ca.Issue("peers.example.com")
	if err != nil {
		t.Fatal(err)
	}
	secret := map[string][]byte{"tls.crt": certificate, "tls.key": key, "ca.crt": ca.PEM}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			c := newCluster(t, chart.Release{Values: []string{file}, Set: []string{"image.digest="}})
			p := &pod{name: "any", ip: "10.244.1.1", dir: filepath.Join(c.dir, "any"), spec: c.objects.Pods(t).Spec}
			p.host = c.host(p.ip)
			// Where certificates come from is not the subject here.
			for i, v := range p.spec.Volumes {
				if v.Name == "certificates" || v.Name == "site" {
					p.spec.Volumes[i].VolumeSource = core.VolumeSource{Secret: &core.SecretVolumeSource{SecretName: "any", Items: []core.KeyToPath{
						{Key: "tls.crt", Path: "tls.crt"}, {Key: "tls.key", Path: "tls.key"}, {Key: "ca.crt", Path: "ca.crt"}}}}
				}
				if v.Name == "ca" {
					p.spec.Volumes[i].VolumeSource = core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}
				}
			}
			c.secrets["any"] = secret
			folders, err := c.folders(p)
			if err != nil {
				t.Fatal(err)
			}
			flags, err := c.flags(p, p.spec.Containers[0], folders)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := engine.run(append(append([]string{"run", "--rm"}, flags...), "-t")...); err != nil {
				t.Errorf("%s%v", out, err)
			}
		})
	}
}
