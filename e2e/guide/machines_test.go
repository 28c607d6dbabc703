package guide

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// here puts what a text for real machines says into the terms of this test, and changes nothing else:
//
//   - a folder of an installation is below the folder root;
//   - 10.0.0.N is address N of the test's network, and a peer or client in 10.0.0.0/24 is anyone on loopback;
//   - the machine's own 127.0.0.1 with a port, in a URL or as a server's name, is the node's address; so is a
//     wildcard listen;
//   - port 80 is another one, 443 is 8443, and the user starling is the one that the test serves as: no root is needed.
func here(text string, n *harness.Node, root, port80 string) string {
	text = strings.NewReplacer(
		"/etc/starling", root+"/etc/starling", "/etc/nginx", root+"/etc/nginx", "/run/starling", root+"/run/starling",
		"/var/lib/starling", root+"/var/lib/starling", "/var/log/starling", root+"/var/log/starling",
		"/var/cache/starling", root+"/var/cache/starling",
		"10.0.0.0/24", "127.0.0.0/8", "10.0.0.", n.Net()+".",
		"-g starling ", "-g "+strconv.Itoa(servesAs())+" ",
	).Replace(text)
	for _, rule := range []struct{ pattern, by string }{
		{`\b127\.0\.0\.1([:/])`, n.IP + "$1"},
		{`(server_name localhost) 127\.0\.0\.1`, "$1 " + n.IP},
		{`(http://[0-9.]+)/`, "$1:" + port80 + "/"},
		{`\blisten 80\b`, "listen " + port80},
		{`\blisten 443\b`, "listen 8443"},
		{`\blisten (\d+[; ])`, "listen " + n.IP + ":$1"},
	} {
		text = regexp.MustCompile(rule.pattern).ReplaceAllString(text, rule.by)
	}
	return text
}

// nobody is the user and group that stand for starling if the test runs as root.
const nobody = 65534

// servesAs is the group of the user that stands for starling.
func servesAs() int {
	if os.Getuid() == 0 {
		return nobody
	}
	return os.Getgid()
}

// machine is a folder that stands for a machine: a home, an installation below root, and the commands of the system
// that would change the real one, in bin. All other commands are the real ones.
type machine struct {
	*harness.Node
	dir    string
	port80 string // the one that stands for it
}

func (m machine) home() string { return filepath.Join(m.dir, "home") }
func (m machine) root() string { return filepath.Join(m.dir, "root") }

func (m machine) here(text string) string { return here(text, m.Node, m.root(), m.port80) }

// newMachine makes a machine named as the others reach it.
func newMachine(n *harness.Node, base, name, port80 string, commands map[string]string) machine {
	n.T.Helper()
	m := machine{n, filepath.Join(base, name), port80}
	for _, dir := range []string{m.home(), m.root(), filepath.Join(m.dir, "bin"), filepath.Join(m.dir, "sbin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			n.T.Fatal(err)
		}
	}
	head := fmt.Sprintf("#!/bin/bash\nset -euo pipefail\nbase=%s root=%s ip=%s uid=%d\n", base, m.root(), n.IP, os.Getuid())
	for command, script := range commands {
		folder := "bin"
		if command == "starling" {
			folder = "sbin" // as in the package: only root has it in PATH
		}
		if err := os.WriteFile(filepath.Join(m.dir, folder, command), []byte(head+script), 0o755); err != nil {
			n.T.Fatal(err)
		}
	}
	return m
}

// ofWorkstations are the commands of a workstation that take too long or need a network.
var ofWorkstations = map[string]string{
	"make": `[ "$*" = dist ]
mkdir -p dist
version=$($base/starling version | sed -n '1s/^starling //p')
touch dist/starling_${version}_amd64.deb dist/starling_${version}_arm64.deb`,

	"go": `[ "$*" = build ]
cp $base/starling ./starling`,

	"scp": scp,
}

// scp copies into the home of another machine. Each has its own root and serves its own address, so a path in a copied
// file, and the address of a wildcard listen, become those of the other machine.
const scp = `to=$base/${!#%:}
[ -d "$to" ] || { echo "scp: no machine ${!#}" >&2; exit 1; }
for file in "${@:1:$#-1}"; do
  cp -p "$file" "$to/home/"
  sed -i "s#$root#$to/root#g; s#listen $ip:#listen ${to##*/}:#" "$to/home/${file##*/}"
done`

// ofNodes are the commands of a node that would change the machine: the package manager, the service manager, and
// starling with the paths of an installation.
var ofNodes = map[string]string{
	"scp": scp,

	"sudo": `PATH=$root/../sbin:$PATH
exec "$@"`,

	"starling": `case ${1:--} in
-*) exec $base/starling -p $root/etc/starling/ -g "pid $root/run/starling/starling.pid;" "$@" ;;
esac
exec $base/starling "$@"`,

	"apt": `[ "$1" = install ]
for what in "${@:2}"; do
  case $what in
  -y | curl | jq) ;;
  ./*.deb)
    [ -f "$what" ] || { echo "apt: no file $what" >&2; exit 100; }
    cp -a $root/../package/. $root/
    systemctl start starling # by its script, as root
    ;;
  *) echo "apt: unable to locate package $what" >&2; exit 100 ;;
  esac
done`,

	// As the unit: the user from the start, -t before a reload, which ends when the new configuration serves, QUIT to end.
	"systemctl": `[ "$2" = starling ]
pid_file=$root/run/starling/starling.pid
as() {
  if [ $uid = 0 ]; then set -- setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; fi
  "$@" </dev/null >/dev/null 2>$root/stderr || { cat $root/stderr >&2; return 1; }
}
reloads() { grep -c "exited with code 0" $root/var/log/starling/error.log || true; }
until_gone() { local tries=600; while [ -e $pid_file ]; do [ $((tries -= 1)) -gt 0 ]; sleep 0.1; done; }
case $1 in
start) as starling ;;
reload)
  as starling -t -q
  before=$(reloads) tries=600
  kill -HUP $(cat $pid_file)
  while [ $(reloads) = $before ]; do [ $((tries -= 1)) -gt 0 ]; sleep 0.1; done ;;
stop) kill -QUIT $(cat $pid_file); until_gone ;;
restart) kill -QUIT $(cat $pid_file); until_gone; as starling ;;
*) echo "systemctl: unknown command $1" >&2; exit 1 ;;
esac`,
}

// contents is an entry of packaging/nfpm.yaml below the folders of an installation.
var contents = regexp.MustCompile(`(?m)^  - \{(?:src: ([^,]+), )?dst: (/(?:etc|var)/(?:[a-z]+/)?starling[^,]*),.*mode: (\d+)`)

// pack puts what the package has beside the root, where apt finds it.
func (m machine) pack() {
	m.T.Helper()
	list, err := os.ReadFile("../../packaging/nfpm.yaml")
	if err != nil {
		m.T.Fatal(err)
	}
	found := contents.FindAllStringSubmatch(string(list), -1)
	if len(found) < 6 {
		m.T.Fatalf("packaging/nfpm.yaml has lost its contents: %q", found)
	}
	pkg := filepath.Join(m.dir, "package")
	folders := []string{pkg, filepath.Join(pkg, "run/starling")} // the latter is the unit's RuntimeDirectory
	for _, entry := range found {
		src, dst := entry[1], filepath.Join(pkg, entry[2])
		if src == "" {
			folders = append(folders, dst)
			continue
		}
		text, err := os.ReadFile(filepath.Join("../..", src))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(dst), 0o755)
		}
		if err == nil {
			err = os.WriteFile(dst, []byte(m.here(string(text))), 0o644)
		}
		if err != nil {
			m.T.Fatal(err)
		}
	}
	for _, folder := range folders {
		err := os.MkdirAll(folder, 0o755)
		if err == nil && os.Getuid() == 0 && !strings.Contains(folder, "/etc/") {
			err = os.Chown(folder, nobody, nobody)
		}
		if err != nil {
			m.T.Fatal(err)
		}
	}
}

// run pastes a snippet into a shell of the machine, where it must succeed.
func (m machine) run(s snippet) {
	m.T.Helper()
	if _, err := m.paste(s); err != nil {
		m.T.Fatal(err)
	}
}

// paste pastes a snippet and returns what it prints.
func (m machine) paste(s snippet) (string, error) {
	text := m.here(s.text)
	cmd := exec.CommandContext(m.T.Context(), "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir = m.home()
	cmd.Env = []string{"PATH=" + filepath.Join(m.dir, "bin") + ":/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + m.home()}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s on %s: %w\n%s\nprinted:\n%s%s\n%s", s.place, filepath.Base(m.dir), err, text, out,
			stderr.String(), m.log())
	}
	return string(out), nil
}

func (m machine) log() string {
	text, err := os.ReadFile(filepath.Join(m.root(), "var/log/starling/error.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// end ends the service of the machine and looks for what no log should hold.
func (m machine) end() {
	file := filepath.Join(m.root(), "run/starling/starling.pid")
	text, err := os.ReadFile(file)
	if err != nil {
		return // it has not started, and the test has failed for that
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil { // otherwise pid is 0: the process group of this test
		err = syscall.Kill(pid, syscall.SIGTERM)
	}
	if err != nil {
		m.T.Errorf("the pid file of %s has %q: %v", m.Name, text, err)
		return
	}
	testkit.Eventually(m.T, harness.Patience, func() error {
		if _, err := os.Stat(file); err == nil {
			return fmt.Errorf("process %d has not ended", pid)
		}
		return nil
	})
	for line := range strings.Lines(m.log()) {
		for _, bad := range []string{"[alert]", "[emerg]", "[crit]", "panic"} {
			if strings.Contains(line, bad) {
				m.T.Errorf("%s wrote: %s", m.Name, line)
			}
		}
	}
}
