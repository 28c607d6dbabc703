package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"starling/nginx/version"
)

func TestMain(m *testing.M) { Main(m) }

// valueFiles are the names of all files of values.
func valueFiles(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(ValuesFile("*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d files of values: %v", len(paths), err)
	}
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".yaml"))
	}
	return names
}

func TestLint(t *testing.T) {
	for _, name := range valueFiles(t) {
		if _, err := Helm(t, "lint", "--strict", "--values", ValuesFile(name), Folder()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManifests: each rendering is made of Kubernetes' own types, and its parts refer to each other.
func TestManifests(t *testing.T) {
	for _, name := range valueFiles(t) {
		t.Run(name, func(t *testing.T) {
			all := Release{Values: []string{name}}.Objects(t)
			pods := all.Pods(t)
			for _, o := range all {
				m := o.(meta.Object)
				if problems := validation.IsDNS1123Subdomain(m.GetName()); problems != nil {
					t.Errorf("%T %q: %v", o, m.GetName(), problems)
				}
				for key, value := range m.GetLabels() {
					if problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); problems != nil {
						t.Errorf("%T %s: label %s=%s: %v", o, m.GetName(), key, value, problems)
					}
				}
			}
			checkSelectors(t, all, labels.Set(pods.Labels))
			checkPorts(t, all, pods.Spec)
			checkVolumes(t, all, pods.Spec)
			checkSecurity(t, pods.Spec)
		})
	}
}

// checkSelectors: what selects pods selects these.
func checkSelectors(t *testing.T, all Objects, pods labels.Set) {
	t.Helper()
	selects := func(what string, s labels.Selector) {
		if s.Empty() || !s.Matches(pods) {
			t.Errorf("%s: the selector %q does not select the pods %v", what, s, pods)
		}
	}
	selector := func(what string, s *meta.LabelSelector) {
		converted, err := meta.LabelSelectorAsSelector(s)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		selects(what, converted)
	}
	services := Of[*core.Service](all)
	if len(services) != 2 {
		t.Errorf("%d Services", len(services))
	}
	for _, s := range services {
		selects("Service "+s.Name, labels.SelectorFromSet(s.Spec.Selector))
	}
	for _, s := range Of[*apps.StatefulSet](all) {
		selector("StatefulSet", s.Spec.Selector)
		Named[*core.Service](t, all, s.Spec.ServiceName)
	}
	for _, s := range Of[*apps.DaemonSet](all) {
		selector("DaemonSet", s.Spec.Selector)
	}
	for _, s := range Of[*networking.NetworkPolicy](all) {
		selector("NetworkPolicy", &s.Spec.PodSelector)
		selector("members in the NetworkPolicy", s.Spec.Ingress[0].From[0].PodSelector)
	}
	for _, c := range all.Pods(t).Spec.TopologySpreadConstraints {
		selector("topologySpreadConstraints", c.LabelSelector)
	}
}

// checkPorts: names of ports are those of the container.
func checkPorts(t *testing.T, all Objects, pod core.PodSpec) {
	t.Helper()
	names := map[string]core.ContainerPort{}
	c := pod.Containers[0]
	for _, p := range c.Ports {
		if problems := validation.IsValidPortName(p.Name); problems != nil || names[p.Name].Name != "" {
			t.Errorf("port %q: %v, or twice", p.Name, problems)
		}
		names[p.Name] = p
	}
	for _, s := range Of[*core.Service](all) {
		for _, p := range s.Spec.Ports {
			if there := names[p.TargetPort.StrVal]; there.Name == "" || there.Protocol != p.Protocol {
				t.Errorf("Service %s: port %s leads to %q", s.Name, p.Name, p.TargetPort.StrVal)
			}
		}
	}
	for _, p := range []*core.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if p == nil || names[p.HTTPGet.Port.StrVal].Name == "" {
			t.Errorf("a probe without a port: %v", p)
		}
	}
	for _, s := range Of[*networking.NetworkPolicy](all) {
		for _, rule := range s.Spec.Ingress {
			for _, p := range rule.Ports {
				if there := names[p.Port.StrVal]; there.Name == "" || there.Protocol != *p.Protocol {
					t.Errorf("NetworkPolicy: no port %q", p.Port.StrVal)
				}
			}
		}
	}
}

// checkVolumes: mounts have a volume, and the items of a ConfigMap are there, each in one place.
func checkVolumes(t *testing.T, all Objects, pod core.PodSpec) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap == nil {
			continue
		}
		data := Named[*core.ConfigMap](t, all, v.ConfigMap.Name).Data
		paths := map[string]bool{}
		for _, item := range v.ConfigMap.Items {
			if _, there := data[item.Key]; !there || paths[item.Path] {
				t.Errorf("ConfigMap %s: %s at %s", v.ConfigMap.Name, item.Key, item.Path)
			}
			paths[item.Path] = true
		}
		if len(paths) != len(data) {
			t.Errorf("ConfigMap %s has %d files, %d are in the volume", v.ConfigMap.Name, len(data), len(paths))
		}
	}
	for _, s := range Of[*apps.StatefulSet](all) {
		for _, claim := range s.Spec.VolumeClaimTemplates {
			volumes[claim.Name] = true
		}
	}
	for _, c := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("container %s mounts the volume %q, which is not there", c.Name, m.Name)
			}
		}
	}
}

// checkSecurity: the pods meet the restricted standard, and none but the init container sees the key of the CA.
func checkSecurity(t *testing.T, pod core.PodSpec) {
	t.Helper()
	if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("security context of the pod: %+v", s)
	}
	if *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks || pod.HostNetwork {
		t.Error("the pod has a token, the variables of Services or the host's network")
	}
	for _, c := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
		s := c.SecurityContext
		if !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) ||
			len(s.Capabilities.Add) > 0 || s.Privileged != nil {
			t.Errorf("security context of %s: %+v", c.Name, s)
		}
		for _, m := range c.VolumeMounts {
			if m.Name == "ca" && c.Name != "certificate" {
				t.Errorf("container %s sees the key of the CA", c.Name)
			}
		}
	}
	shutdown := int64(0)
	if l := pod.Containers[0].Lifecycle; l != nil {
		shutdown = l.PreStop.Sleep.Seconds
	}
	if shutdown >= *pod.TerminationGracePeriodSeconds {
		t.Errorf("%d s before the end, of %d", shutdown, *pod.TerminationGracePeriodSeconds)
	}
}

// TestNamesVerifyByDefault: the name that a pod verifies is in the certificates, wherever they come from, in every
// release and namespace.
func TestNamesVerifyByDefault(t *testing.T) {
	verified := regexp.MustCompile(`zone_sync_ssl_name +(\S+);`)
	for _, r := range []Release{
		{Values: []string{"minimal"}},
		{Values: []string{"minimal"}, Name: "edge", Namespace: "a-rather-long-namespace-of-some-team-in-some-department-63-bytes"},
		{Values: []string{"minimal"}, Set: []string{"tls.name=peers.example.com"}},
		{Values: []string{"certmanager"}},
		{Values: []string{"certmanager"}, Name: "a-long-name-of-a-release-that-is-cut", Namespace: "b"},
		{Values: []string{"everything"}},
	} {
		all := r.Objects(t)
		text := ""
		for _, c := range Of[*core.ConfigMap](all) {
			text += c.Data["template.starling-sync.conf.stream-template"]
		}
		match := verified.FindStringSubmatch(text)
		if match == nil || validation.IsDNS1123Subdomain(match[1]) != nil {
			t.Errorf("%+v: no name in\n%s", r, text)
			continue
		}
		var names []string
		for _, c := range Of[*certmanager.Certificate](all) {
			names = append(names, c.Spec.DNSNames...)
			if len(c.Spec.CommonName) > 64 || !slices.Contains(c.Spec.Usages, certmanager.UsageClientAuth) ||
				!slices.Contains(c.Spec.Usages, certmanager.UsageServerAuth) {
				t.Errorf("%+v: Certificate with %+v", r, c.Spec)
			}
		}
		pod := all.Pods(t).Spec
		for _, c := range pod.InitContainers {
			names = append(names, strings.Split(c.Args[0], ",")...)
		}
		for _, v := range pod.Volumes {
			if v.CSI != nil {
				names = append(names, strings.Split(v.CSI.VolumeAttributes["csi.cert-manager.io/dns-names"], ",")...)
			}
		}
		if !slices.Contains(names, match[1]) {
			t.Errorf("%+v: the pods verify %q, their certificates have %q", r, match[1], names)
		}
	}
}

// TestConfigurationChanges: by default a changed configuration is a changed template of the pods, which a rolling update
// follows; with reload it is not, and the pods watch it.
func TestConfigurationChanges(t *testing.T) {
	for _, c := range []struct {
		onChange string
		restarts bool
	}{{"restart", true}, {"reload", false}} {
		var templates []string
		for _, level := range []string{"info", "notice"} {
			all := Release{Values: []string{"minimal"}, Set: []string{"config.onChange=" + c.onChange, "log.level=" + level}}.Objects(t)
			pods := all.Pods(t)
			templates = append(templates, fmt.Sprint(pods.Annotations))
			watched := pods.Spec.Containers[0].Env[0]
			if watched.Name != "STARLING_RELOAD_ON_CHANGE" ||
				slices.Contains(strings.Fields(watched.Value), "/etc/starling") == c.restarts ||
				!slices.Contains(strings.Fields(watched.Value), "/etc/starling-certs") {
				t.Errorf("%s: watched is %+v", c.onChange, watched)
			}
		}
		if (templates[0] != templates[1]) != c.restarts {
			t.Errorf("%s: the templates of the pods are %q", c.onChange, templates)
		}
	}
}

// TestPeersAreFoundBeforeTheyAreReady: they become ready by what the others send.
func TestPeersAreFoundBeforeTheyAreReady(t *testing.T) {
	peers := Named[*core.Service](t, Release{Values: []string{"minimal"}}.Objects(t), "starling-peers")
	if !peers.Spec.PublishNotReadyAddresses || peers.Spec.ClusterIP != core.ClusterIPNone {
		t.Errorf("%+v", peers.Spec)
	}
}

// TestValuesThatCannotBe: the error names the value.
func TestValuesThatCannotBe(t *testing.T) {
	for set, want := range map[string]string{
		"kind=Deployment":                                `'/kind': value must be one of 'StatefulSet', 'DaemonSet'`,
		"kind=DaemonSet":                                 `persistence.enabled: a DaemonSet has no volume for each pod`,
		"replicas=0":                                     `'/replicas': minimum: got 0, want 1`,
		"replicas=three":                                 `'/replicas': got string, want integer`,
		"replica=3":                                      `additional properties 'replica' not allowed`,
		"image.repository=":                              `image.repository: set it to where you pushed the image`,
		"image.repository=a b":                           `'/image/repository'`,
		"image.digest=sha256:abc":                        `'/image/digest'`,
		"tls.source=letsencrypt":                         `'/tls/source': value must be one of`,
		"tls.source=certManager":                         `tls.certManager.issuerRef.name: name the issuer`,
		"tls.source=secret":                              `tls.secret: name the Secret`,
		"tls.source=secret,tls.secret=a":                 `tls.name: set the DNS name`,
		"tls.source=none,tls.name=a":                     `tls.name: tls.source=none uses no certificates`,
		"tls.starling.days=0":                            `'/tls/starling/days': minimum: got 0, want 1`,
		"tls.certManager.duration=90d":                   `'/tls/certManager/duration'`,
		"sync.port=80":                                   `'/sync/port': minimum: got 80, want 1,024`,
		"sync.port=8080":                                 `ports[0].containerPort: 8080 is sync.port too`,
		"admin.port=9000":                                `admin.port: 9000 is sync.port too`,
		"ports[0].name=sync,ports[0].containerPort=81":   `'/ports/0/containerPort'`,
		"ports[0].name=sync,ports[0].containerPort=8082": `ports[0].name: "sync" is the name of sync.port too`,
		"ports[0].name=http":                             `'/ports/0': missing property 'containerPort'`,
		"ports[0].name=a,ports[0].containerPort=8080,ports[0].x=1":            `additional properties 'x' not allowed`,
		"sync.resolver.addresses={kube-dns}":                                  `'/sync/resolver/addresses/0'`,
		"sync.resolver.valid=5 s":                                             `'/sync/resolver/valid'`,
		"shutdown.gracePeriodSeconds=60":                                      `shutdown.gracePeriodSeconds: 60 is too short`,
		"shutdown.timeoutSeconds=600":                                         `shutdown.gracePeriodSeconds: 90 is too short`,
		"config.onChange=ignore":                                              `'/config/onChange': value must be one of 'restart', 'reload'`,
		"config.http.site=x":                                                  `'/config/http': additional properties 'site' not allowed`,
		`config.http.starling-admin\.conf=x`:                                  `config.http: starling-admin.conf: names that begin with "starling-"`,
		`config.http.a\.conf=x,config.templates.a\.conf\.template=y`:          `config.templates: a.conf.template makes a.conf, which is in config.http too`,
		`config.stream.a\.conf=x,config.templates.a\.conf\.stream-template=y`: `makes a.conf, which is in config.stream too`,
		"persistence.size=big":                                                `'/persistence/size'`,
		"podDisruptionBudget.maxUnavailable=half":                             `'/podDisruptionBudget/maxUnavailable'`,
		"podDisruptionBudget.maxUnavailable=101%":                             `'/podDisruptionBudget/maxUnavailable'`,
		"sync.resolver.addresses={10.0.1}":                                    `'/sync/resolver/addresses/0'`,
		"updateStrategy.type=Recreate":                                        `'/updateStrategy/type': value must be one of`,
		"resources.requests.cpu=much":                                         `'/resources/requests/cpu'`,
		"resources.limits.memory=1GiB":                                        `'/resources/limits/memory'`,
		"podSecurityContext.runAsUser=0":                                      `podSecurityContext.runAsUser: 0 is root`,
		"tls.certManager.duration=720h":                                       `tls.certManager.renewBefore: 720h must be less than`,
		"service.externalTrafficPolicy=Local":                                 `service.externalTrafficPolicy: a Service of type ClusterIP has none`,
		"service.type=ExternalName":                                           `'/service/type'`,
		"log.level=verbose":                                                   `'/log/level': value must be one of`,
		"reloadOnChange={certs}":                                              `'/reloadOnChange/0'`,
		"probes.readiness.httpGet.path=/":                                     `additional properties 'httpGet' not allowed`,
		"fullnameOverride=Edge":                                               `'/fullnameOverride'`,
		"metrics.serviceMonitor.enabled=maybe":                                `'/metrics/serviceMonitor/enabled': got string, want boolean`,
	} {
		_, err := Release{Values: []string{"minimal"}, Set: []string{set}}.Text(t)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s\ngot:  %v\nwant: %s", set, err, want)
		}
	}
}

// TestChartIsOfThisVersion.
func TestChartIsOfThisVersion(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(Folder(), "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"version: " + version.Starling, "appVersion: " + version.Starling} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("Chart.yaml has no line %q", line)
		}
	}
}
