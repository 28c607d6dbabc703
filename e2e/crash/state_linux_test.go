package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/e2e/harness"
)

const dynamicHTTP = `http {
	upstream app { zone app 64k; state {{.Dir}}/disk/app.conf; }
	server { listen {{.IP}}:8080; location /api { api write=on; } }
}
`

// TestStateFileOfAnUpstream: every change that the API acknowledged is there after a kill; on a full disk the API says
// so and nothing changes, neither in memory nor after another kill.
func TestStateFileOfAnUpstream(t *testing.T) {
	const servers = "/api/9/http/upstreams/app/servers"
	cl := harness.NewCluster(t, 1)
	n := cl.Nodes[0]
	disk := smallDisk(n, "disk", 64)
	n.Configure(dynamicHTTP)
	n.Start()
	for i := range 5 {
		n.Wants(201, "*", "POST", servers, fmt.Sprintf(`{"server":"127.0.0.1:%d"}`, 9000+i))
	}
	n.Wants(200, "*", "PATCH", servers+"/3", `{"down":true}`)
	n.Wants(200, "*", "DELETE", servers+"/0", "")
	n.Kill()
	n.Start()
	text, err := os.ReadFile(filepath.Join(disk, "app.conf"))
	if want := "server 127.0.0.1:9001;\nserver 127.0.0.1:9002;\nserver 127.0.0.1:9003 down;\nserver 127.0.0.1:9004;\n"; err != nil || string(text) != want {
		t.Fatalf("after a kill the file has %q (%v)", text, err)
	}
	all, err := n.Do("GET", servers, "")
	if err != nil || strings.Count(all.Body, `"id"`) != 4 || strings.Count(all.Body, `"down":true`) != 1 {
		t.Fatalf("after a kill there are %v %v", all, err)
	}

	full := fill(t, disk)
	for _, call := range [][3]string{
		{"POST", servers, `{"server":"127.0.0.1:9999"}`}, {"PATCH", servers + "/0", `{"down":true}`}, {"DELETE", servers + "/0", ""},
	} {
		r, err := n.Do(call[0], call[1], call[2])
		if err != nil || r.Status != 500 || !strings.Contains(r.Body, "No space left on device") {
			t.Errorf("%v on a full disk: %v %v", call, r, err)
		}
	}
	n.Wants(200, all.Body, "GET", servers, "")
	n.WaitLog("the change of the servers was rejected")
	n.Kill()
	n.Start()
	n.Wants(200, all.Body, "GET", servers, "")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	n.Wants(200, "*", "DELETE", servers+"/0", "")
	n.Quit()
}
