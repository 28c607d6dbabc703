package cycle_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"starling/conf"
	"starling/cycle"
	"starling/lib/testkit"
	"starling/logs"
	"starling/nginx/version"
)

var onlyVerdict = flag.String("verdicts.only", "", "compare only verdicts about directives of this name")

// frame is a block around a directive: what is around all of them in a file, and what is around each.
type frame struct{ file, each string }

// frames are those of the contexts, in which a directive finds what it can refer to. NEW is a new number.
var frames = map[conf.Context]frame{
	conf.Main:   {"LOG events { } %s", "%s"},
	conf.Events: {"LOG events { %s }", "%s"},
	conf.HTTP: {"LOG events { } http { PRELUDE %s server { listen unix:DIR/h; location / { proxy_pass http://u; } } }",
		"%s"},
	conf.Server:   {"LOG events { } http { PRELUDE %s }", "server { listen unix:DIR/hNEW; %s }"},
	conf.ServerIf: {"LOG events { } http { PRELUDE %s }", "server { listen unix:DIR/hNEW; if ($host) { %s } }"},
	conf.Location: {"LOG events { } http { PRELUDE %s }", "server { listen unix:DIR/hNEW; location / { %s } }"},
	conf.LocationIf: {"LOG events { } http { PRELUDE %s }",
		"server { listen unix:DIR/hNEW; location / { if ($host) { %s } } }"},
	conf.LimitExcept: {"LOG events { } http { PRELUDE %s }",
		"server { listen unix:DIR/hNEW; location / { limit_except GET { %s } } }"},
	conf.Upstream:       {"LOG events { } http { PRELUDE %s }", "upstream vNEW { server 127.0.0.1:9; %s }"},
	conf.Stream:         {"LOG events { } stream { SPRELUDE %s server { listen unix:DIR/s; proxy_pass u; } }", "%s"},
	conf.StreamServer:   {"LOG events { } stream { SPRELUDE %s }", "server { listen unix:DIR/sNEW; PASS %s }"},
	conf.StreamUpstream: {"LOG events { } stream { SPRELUDE %s }", "upstream vNEW { server 127.0.0.1:9; %s }"},
}

const prelude = `limit_req_zone $uri zone=rz:1m rate=1r/s; limit_conn_zone $uri zone=cz:1m; log_format lf $uri;
proxy_cache_path DIR/cache keys_zone=pz:1m; upstream u { server 127.0.0.1:9; } `

const streamPrelude = `limit_conn_zone $remote_addr zone=cz:1m; upstream u { server 127.0.0.1:9; } log_format lf $remote_addr;`

// verdicts asks both programs about variants.
type verdicts struct {
	t     *testing.T
	nginx string
	load  string // the load_module of nginx's stream, if it needs one
	dir   string
}

// text is a file with variants of one context; the numbers of its lines tell where each is.
func (v *verdicts) text(in conf.Context, some ...variant) (text string, lines map[int]variant) {
	without := func(name, line string) string { // unless it is the directive itself
		if slices.ContainsFunc(some, func(one variant) bool { return one.name == name }) {
			return ""
		}
		return line + " "
	}
	extra := without("access_log", "access_log off;")
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		extra += without(name+"_temp_path", name+"_temp_path DIR/temp;")
	}
	pass := without("proxy_pass", without("pass", without("return", "proxy_pass u;")))
	log := without("error_log", "error_log stderr crit;") + without("pid", "pid DIR/pid;")
	blocks := strings.NewReplacer("SPRELUDE", streamPrelude, "PRELUDE", prelude+extra, "LOG", log, "PASS", pass)
	fill := func(text string) string { return strings.ReplaceAll(blocks.Replace(text), "DIR", v.dir) }
	head, tail, _ := strings.Cut(fill(frames[in].file), "%s")
	lines = map[int]variant{}
	text = head + "\n"
	for i, one := range some {
		lines[strings.Count(text, "\n")+1] = one
		before, after, _ := strings.Cut(strings.ReplaceAll(frames[in].each, "NEW", strconv.Itoa(i)), "%s")
		text += fill(before + one.text + after + "\n")
	}
	return text + tail + "\n", lines
}

// path writes a file into an empty folder: what the one before has made could be in the way of a name.
func (v *verdicts) path(text string) string {
	path := filepath.Join(v.dir, "nginx.conf")
	err := errors.Join(os.RemoveAll(v.dir), os.MkdirAll(v.dir+"/logs", 0o755), os.WriteFile(path, []byte(text), 0o600))
	if err != nil {
		v.t.Error(err)
	}
	return path
}

// ours is what starling -t says; "" if it accepts the variant.
func (v *verdicts) ours(one variant) string {
	text, _ := v.text(one.in, one)
	options := cycle.Options{Prefix: v.dir + "/", ConfPath: v.path(text), ErrorLog: v.dir + "/error.log", FS: os.DirFS("/")}
	_, err := cycle.NewHost(options, logs.NewFiles("starling")).Test()
	var all conf.Problems
	switch {
	case err == nil:
		return ""
	case errors.As(err, &all):
		return all[0].Error()
	}
	return err.Error()
}

var emerg = regexp.MustCompile(`(?m)^nginx: \[(?:emerg|alert)\] (.*)$`)

// theirs is what nginx -t says about a text.
func (v *verdicts) theirs(text string) string {
	path := v.path(v.load + text)
	out, err := exec.Command(v.nginx, "-t", "-p", v.dir, "-c", path, "-e", v.dir+"/error.log").CombinedOutput()
	if err == nil {
		return ""
	}
	if m := emerg.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return fmt.Sprintf("%v: %s", err, bytes.TrimSpace(out))
}

var place = regexp.MustCompile(` in \S+:(\d+)$`)

// together finds the variants out of many that nginx rejects: all are in one file, from which it rejects one by one.
func (v *verdicts) together(in conf.Context, some []variant) map[variant]string {
	rejected := map[variant]string{}
	for len(some) > 0 {
		text, lines := v.text(in, some...)
		said := v.theirs(text)
		if said == "" {
			break
		}
		bad, found := variant{}, false
		if m := place.FindStringSubmatch(said); m != nil {
			line, err := strconv.Atoi(m[1])
			if err != nil {
				v.t.Fatal(err)
			}
			bad, found = lines[line]
		}
		if !found { // each alone, then
			for _, one := range some {
				text, _ := v.text(in, one)
				if said := v.theirs(text); said != "" {
					rejected[one] = said
				}
			}
			break
		}
		some = slices.DeleteFunc(some, func(one variant) bool { return one == bad })
		text, _ = v.text(in, bad)
		if said := v.theirs(text); said != "" { // alone too
			rejected[bad] = said
		}
	}
	return rejected
}

// atOnce runs a step for each number below n, in as many folders as there are processors.
func (v *verdicts) atOnce(n int, step func(*verdicts, int)) {
	var wait sync.WaitGroup
	next := make(chan int)
	for i := range runtime.GOMAXPROCS(0) {
		own := *v
		own.dir = filepath.Join(v.dir, strconv.Itoa(i)) // made by path
		wait.Go(func() {
			for at := range next {
				step(&own, at)
			}
		})
	}
	for at := range n {
		next <- at
	}
	close(next)
	wait.Wait()
}

// pair is what both say about a variant.
type pair struct{ ours, theirs string }

// ask asks both about all variants.
func (v *verdicts) ask(list []variant) []pair {
	said := make([]pair, len(list))
	v.atOnce(len(list), func(v *verdicts, at int) {
		one := list[at]
		said[at].ours = v.ours(one)
		if said[at].ours != "" || frames[one.in].each == "%s" {
			text, _ := v.text(one.in, one)
			said[at].theirs = v.theirs(text)
		}
	})
	accepted := map[conf.Context][]variant{}
	for at, one := range list {
		if said[at].ours == "" && frames[one.in].each != "%s" {
			accepted[one.in] = append(accepted[one.in], one)
		}
	}
	var contexts []conf.Context
	for in := range accepted {
		contexts = append(contexts, in)
	}
	rejected := make([]map[variant]string, len(contexts))
	v.atOnce(len(contexts), func(v *verdicts, at int) {
		rejected[at] = v.together(contexts[at], accepted[contexts[at]])
	})
	for at, one := range list {
		if in := slices.Index(contexts, one.in); said[at].ours == "" && in >= 0 {
			said[at].theirs = rejected[in][one]
		}
	}
	return said
}

// streamModule is where Debian has nginx's stream, which its nginx must load.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

var versionOf = regexp.MustCompile(`nginx/(\d+)\.(\d+)\.`)

// newVerdicts is about the nginx on this machine. Only one that is not older than the words that starling has can tell
// that a word does not exist.
func newVerdicts(t *testing.T) (v *verdicts, current bool) {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx here to compare with")
	}
	v = &verdicts{t: t, nginx: nginx, dir: t.TempDir()}
	built, err := exec.Command(nginx, "-V").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(streamModule); err == nil && bytes.Contains(built, []byte("--with-stream=dynamic")) {
		v.load = "load_module " + streamModule + "; "
	}
	m, follows := versionOf.FindSubmatch(built), strings.Split(version.Nginx, ".")
	if m == nil {
		t.Fatalf("%s", built)
	}
	var has, wants [2]int
	for i := range has {
		if has[i], err = strconv.Atoi(string(m[i+1])); err == nil {
			wants[i], err = strconv.Atoi(follows[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return v, slices.Compare(has[:], wants[:]) >= 0
}

// What one of both rejects, so does the other. meant says where and why not.
func TestVerdictsBesideNginx(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector would make it last minutes, and each verdict is of one goroutine")
	}
	t.Parallel()
	v, current := newVerdicts(t)
	list := slices.DeleteFunc(variants(t), func(one variant) bool {
		return *onlyVerdict != "" && one.name != *onlyVerdict
	})
	said := v.ask(list)
	matched := map[string]bool{}
	unknown := 0
	for at, one := range list {
		ours, theirs := said[at].ours, said[at].theirs
		switch {
		case strings.Contains(theirs, "unknown directive"): // this nginx was built without the module
			unknown++
			continue
		case (ours == "") == (theirs == ""), theirs != "" && !current:
			continue
		}
		text := fmt.Sprintf("%s\nstarling: %s\nnginx: %s", one, shown(ours), shown(theirs))
		text = strings.ReplaceAll(text, v.dir, "DIR")
		if i := slices.IndexFunc(meant, func(d difference) bool { return d.is.MatchString(text) }); i >= 0 {
			matched[meant[i].is.String()] = true
			continue
		}
		t.Error(text)
	}
	t.Logf("%d variants, of which nginx does not know %d", len(list), unknown)
	if !current || *onlyVerdict != "" {
		return
	}
	for _, d := range meant {
		if !matched[d.is.String()] {
			t.Errorf("the difference is not there any more: %s (%s)", d.is, d.why)
		}
	}
}

func shown(said string) string {
	if said == "" {
		return "ok"
	}
	return place.ReplaceAllString(said, "")
}
