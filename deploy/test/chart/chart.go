// Package chart renders the chart of deploy/helm and decodes what it makes into Kubernetes' own types.
package chart

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubernetes "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// helm is pinned, so that a new release changes nothing unnoticed. It is not in go.mod: its requirements are not ours.
const helm = "helm.sh/helm/v3/cmd/helm@v3.22.0"

// Root is the folder of the repository. Tests run in the folder of their package, which is in deploy/test.
func Root() string {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		panic(err)
	}
	return root
}

// Folder is that of the chart.
func Folder() string { return filepath.Join(Root(), "deploy", "helm", "starling") }

var helmPath string

// Main builds helm, unless $STARLING_HELM is one, and runs the tests.
func Main(m *testing.M) {
	os.Exit(func() int {
		if helmPath = os.Getenv("STARLING_HELM"); helmPath != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "starling-helm")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		install := exec.Command("go", "install", helm)
		install.Dir = dir // outside of any module
		install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-trimpath", "CGO_ENABLED=0")
		if out, err := install.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go install %s: %v\n%s", helm, err, out)
			return 1
		}
		helmPath = filepath.Join(dir, "helm")
		return m.Run()
	}())
}

// Helm runs helm with folders of its own, so that it reads nothing of the user's.
func Helm(t testing.TB, args ...string) (stdout string, err error) {
	t.Helper()
	c := exec.Command(helmPath, args...)
	home := t.TempDir()
	c.Env = append(os.Environ(),
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=/dev/null")
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	if err = c.Run(); err != nil {
		err = fmt.Errorf("helm %s: %w\n%s%s", args[0], err, out.Bytes(), problems.Bytes())
	}
	return out.String(), err
}

// Release is one rendering of the chart.
type Release struct {
	Name, Namespace string
	// Values are files below testdata/values, without folder and ending, or absolute paths.
	Values []string
	// Set are single values, as NAME=VALUE.
	Set []string
}

// Text renders the release.
func (r Release) Text(t testing.TB) (string, error) {
	t.Helper()
	args := []string{
		"template", cmp.Or(r.Name, "starling"), Folder(), "--namespace", cmp.Or(r.Namespace, "web"),
		"--kube-version", "1.34.0",
	}
	for _, file := range r.Values {
		if !filepath.IsAbs(file) {
			file = ValuesFile(file)
		}
		args = append(args, "--values", file)
	}
	for _, set := range r.Set {
		args = append(args, "--set", set)
	}
	return Helm(t, args...)
}

// ValuesFile is the path of a file of values.
func ValuesFile(name string) string {
	return filepath.Join(Root(), "deploy", "test", "chart", "testdata", "values", name+".yaml")
}

// Objects renders and decodes the release.
func (r Release) Objects(t testing.TB) Objects {
	t.Helper()
	text, err := r.Text(t)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// Objects are decoded manifests.
type Objects []kubernetes.Object

// Decode reads manifests strictly: a field that its type does not have, or that stands twice, is an error.
func Decode(text string) (Objects, error) {
	scheme := kubernetes.NewScheme()
	for _, add := range []func(*kubernetes.Scheme) error{
		core.AddToScheme, apps.AddToScheme, policy.AddToScheme, networking.AddToScheme,
		monitoring.AddToScheme, certmanager.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	options := json.SerializerOptions{Yaml: true, Strict: true}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, options)
	var objects Objects
	for document := range strings.SplitSeq("\n"+text, "\n---") {
		if blank(document) {
			continue
		}
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, document)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// blank reports a document of comments only.
func blank(document string) bool {
	for line := range strings.Lines(document) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// Of returns the objects of a type.
func Of[T kubernetes.Object](all Objects) (list []T) {
	for _, o := range all {
		if one, is := o.(T); is {
			list = append(list, one)
		}
	}
	return list
}

// Named returns the object of a type and a name.
func Named[T kubernetes.Object](t testing.TB, all Objects, name string) T {
	t.Helper()
	for _, o := range Of[T](all) {
		if any(o).(meta.Object).GetName() == name {
			return o
		}
	}
	var none T
	t.Fatalf("there is no %T called %s", none, name)
	return none
}

// Pods returns the template of the pods, of a StatefulSet or a DaemonSet.
func (all Objects) Pods(t testing.TB) core.PodTemplateSpec {
	t.Helper()
	for _, s := range Of[*apps.StatefulSet](all) {
		return s.Spec.Template
	}
	for _, s := range Of[*apps.DaemonSet](all) {
		return s.Spec.Template
	}
	t.Fatal("there are no pods")
	return core.PodTemplateSpec{}
}
