package process_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"starling/lib/testkit"
)

// A process in the foreground of a terminal receives WINCH whenever the user changes the size of the window. It goes on
// accepting clients.
func TestResizedTerminal(t *testing.T) {
	dir, address := t.TempDir(), testkit.FreeAddress(t)
	config := fmt.Sprintf("user root; daemon off; pid n.pid; error_log error.log notice; events { }\n"+
		"http { access_log off; server { listen %s; return 200 here; } }", address)
	if err := os.WriteFile(filepath.Join(dir, "n.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	user, program := testkit.Terminal(t, 24, 80)
	command := exec.Command("starling", "-p", dir, "-c", "n.conf")
	command.Stdin, command.Stdout, command.Stderr = program, program, program
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer command.Wait()
	defer command.Process.Kill()
	gets := func() error {
		response, err := http.Get("http://" + address)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && string(body) != "here" {
			err = fmt.Errorf("%d %s", response.StatusCode, body)
		}
		return err
	}
	testkit.Eventually(t, waitLimit, gets)
	testkit.Resize(t, user, 30, 100)
	testkit.Eventually(t, waitLimit, func() error {
		text, err := os.ReadFile(filepath.Join(dir, "error.log"))
		switch {
		case err != nil:
			return err
		case !strings.Contains(string(text), "SIGWINCH"):
			return errors.New("it has not received the signal")
		case !strings.Contains(string(text), "(SIGWINCH) received, ignored: a terminal sends it when its size changes"):
			t.Fatalf("it is not ignored:\n%s", text)
		}
		return nil
	})
	if err := gets(); err != nil {
		t.Error(err)
	}
}
