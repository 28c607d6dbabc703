package pods

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"starling/e2e/lan"
)

// What the kubelet does with one pod.

// folders makes the volumes of a pod, and its resolv.conf, and returns the folders of the volumes.
func (c *cluster) folders(p *pod) (map[string]string, error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	resolvConf := fmt.Sprintf("search %s.svc.cluster.local svc.cluster.local cluster.local\nnameserver %s\noptions ndots:5\n",
		c.namespace(), dnsAddress)
	if err := os.WriteFile(filepath.Join(p.dir, "resolv.conf"), []byte(resolvConf), 0o644); err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for _, v := range p.spec.Volumes {
		dir, err := c.volume(p, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		folders[v.Name] = dir
	}
	if c.set == nil {
		return folders, nil
	}
	for _, claim := range c.set.Spec.VolumeClaimTemplates {
		dir, err := c.claim(p, claim.Name)
		if err != nil {
			return nil, err
		}
		folders[claim.Name] = dir
	}
	return folders, nil
}

// run runs the init containers of a pod and starts its container.
func (c *cluster) run(p *pod) error {
	folders, err := c.folders(p)
	if err != nil {
		return err
	}
	for _, one := range p.spec.InitContainers {
		flags, err := c.flags(p, one, folders)
		if err != nil {
			return err
		}
		if _, err := engine.run(append([]string{"run", "--rm"}, flags...)...); err != nil {
			return err
		}
	}
	flags, err := c.flags(p, p.spec.Containers[0], folders)
	if err != nil {
		return err
	}
	_, err = engine.run(append([]string{"run", "--detach", "--name", p.container}, flags...)...)
	return err
}

// flags are those of podman for a container, then its image and arguments.
func (c *cluster) flags(p *pod, one core.Container, folders map[string]string) ([]string, error) {
	s := one.SecurityContext
	// podman fills tmpfs into a read-only root, Kubernetes does not.
	flags := []string{
		"--network", "ns:" + p.host.NamespacePath(), "--hostname", p.name, "--no-hosts", "--pull", "never",
		"--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096",
		"--volume", filepath.Join(p.dir, "resolv.conf") + ":/etc/resolv.conf:ro",
		"--read-only=" + strconv.FormatBool(*s.ReadOnlyRootFilesystem), "--read-only-tmpfs=false",
	}
	pod := p.spec.SecurityContext
	flags = append(flags, "--user", fmt.Sprintf("%d:%d", *pod.RunAsUser, *pod.RunAsGroup), "--group-add", strconv.FormatInt(*pod.FSGroup, 10))
	if !*s.AllowPrivilegeEscalation {
		flags = append(flags, "--security-opt", "no-new-privileges")
	}
	for _, capability := range s.Capabilities.Drop {
		flags = append(flags, "--cap-drop", string(capability))
	}
	environment := map[string]string{}
	for _, e := range one.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil {
			value = map[string]string{"metadata.name": p.name, "metadata.namespace": c.namespace()}[from.FieldRef.FieldPath]
			if value == "" {
				return nil, fmt.Errorf("no test knows the field %s", from.FieldRef.FieldPath)
			}
		}
		environment[e.Name] = value
		flags = append(flags, "--env", e.Name+"="+value)
	}
	for _, m := range one.VolumeMounts {
		dir, there := folders[m.Name]
		if !there {
			return nil, fmt.Errorf("container %s: no volume %s", one.Name, m.Name)
		}
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		flags = append(flags, "--volume", dir+":"+m.MountPath+":"+mode)
	}
	var words []string
	for _, word := range append(append([]string{}, one.Command...), one.Args...) {
		for name, value := range environment {
			word = strings.ReplaceAll(word, "$("+name+")", value)
		}
		words = append(words, word)
	}
	if len(one.Command) > 0 {
		entry, err := json.Marshal(one.Command)
		if err != nil {
			return nil, err
		}
		flags = append(flags, "--entrypoint", string(entry))
		words = words[len(one.Command):]
	}
	return append(append(flags, one.Image), words...), nil
}

// ready asks the readiness probe of a pod, and alive the liveness probe.
func (c *cluster) ready(p *pod) error { return c.probe(p, p.spec.Containers[0].ReadinessProbe) }
func (c *cluster) alive(p *pod) error { return c.probe(p, p.spec.Containers[0].LivenessProbe) }

func (c *cluster) probe(p *pod, probe *core.Probe) error {
	port := int32(0)
	for _, named := range p.spec.Containers[0].Ports {
		if named.Name == probe.HTTPGet.Port.StrVal {
			port = named.ContainerPort
		}
	}
	r, err := from(c.kubelet, "GET", fmt.Sprintf("http://%s:%d%s", p.ip, port, probe.HTTPGet.Path), "")
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if r.status < 200 || r.status >= 400 { // as the kubelet
		return fmt.Errorf("%s: %s: status %d: %s", p.name, probe.HTTPGet.Path, r.status, r.body)
	}
	return nil
}

// reply is what an HTTP server answers.
type reply struct {
	status int
	body   string
}

// requestTimeout bounds one request of a test: a pod whose node is lost does not answer.
const requestTimeout = 2 * time.Second

// from sends a request from a host of the network.
func from(h *lan.Host, method, url, body string) (reply, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return reply{}, err
	}
	client := http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = h.Inside(func() (err error) {
				conn, err = new(net.Dialer).DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, string(text)}, errors.Join(err, response.Body.Close())
}

// forwarded sends a request as through kubectl port-forward: it comes from the pod itself.
func forwarded(p *pod, method, path, body string) (reply, error) {
	return from(p.host, method, "http://127.0.0.1:8081"+path, body)
}
