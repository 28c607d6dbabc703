package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// tab is a page in headless Chromium. What the page complains about fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	excused    string // complaints with this text are expected
}

// openTab starts a browser.
func openTab(t *testing.T) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: apt-get install chromium; .ci/run does")
	}
	// Chromium leaves its sockets there when it is killed. The path of t.TempDir would be too long for them.
	dir, err := os.MkdirTemp("", "tab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, // which does not work as root
		chromedp.Env("TMPDIR="+dir), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en"))
	ctx, cancel := context.WithTimeout(context.Background(), 4*harness.Patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	b.do(chromedp.EmulateViewport(1360, 900))
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return // the browser is closed
			}
			b.complain(m)
		}
	}()
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Errorf("the page complains: %s", c)
		}
	})
	return b
}

// complain keeps what the page writes to its console, uncaught exceptions, and what the browser refuses to do for it.
func (b *tab) complain(m chromedp.ConsoleMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := fmt.Sprintf("%s %s %s:%d", m, m.Source, m.URL, m.Line)
	if b.excused == "" || !strings.Contains(text, b.excused) {
		b.complaints = append(b.complaints, text)
	}
}

// excuse expects complaints with a text from now on.
func (b *tab) excuse(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.excused = text
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// eval returns the value of an expression as JSON decodes it.
func (b *tab) eval(expression string, to any) error {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("JSON.stringify("+expression+")"))
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), to)
}

// text is the visible text of the element that a selector finds first.
func (b *tab) text(selector string) (text string, err error) {
	err = b.eval(fmt.Sprintf("((e) => e ? e.innerText ?? e.textContent : '')(document.querySelector(%q))", selector), &text)
	return text, err
}

// sees waits until the element has a text.
func (b *tab) sees(selector, want string) {
	b.t.Helper()
	testkit.Eventually(b.t, harness.Patience, func() error {
		text, err := b.text(selector)
		if err == nil && !strings.Contains(text, want) {
			err = fmt.Errorf("%s has %q, want %q", selector, text, want)
		}
		return err
	})
}

// sure waits until an expression is true.
func (b *tab) sure(expression string) {
	b.t.Helper()
	testkit.Eventually(b.t, harness.Patience, func() error {
		var is bool
		err := b.eval(expression, &is)
		if err == nil && !is {
			err = fmt.Errorf("not true: %s", expression)
		}
		return err
	})
}

// shot takes a picture of the page with a theme, which the system seems to prefer.
func (b *tab) shot(file, theme string, width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(2)))
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TestShots takes the pictures of the documentation from a running cluster, each after a while of history:
//
//	DASHBOARD=http://127.0.0.1:8080/dashboard.html SHOTS=DIR VIEWS=cluster,upstreams WAIT=90s go test ./e2e/browser -run Shots
func TestShots(t *testing.T) {
	url, dir := os.Getenv("DASHBOARD"), os.Getenv("SHOTS")
	if url == "" || dir == "" {
		t.Skip("takes pictures of a running cluster, if DASHBOARD is its URL and SHOTS a folder")
	}
	history, err := time.ParseDuration(os.Getenv("WAIT"))
	if err != nil {
		t.Fatal(err)
	}
	b := openTab(t)
	for _, view := range strings.Split(os.Getenv("VIEWS"), ",") {
		b.open("about:blank")
		b.open(url + "#" + view)
		b.sees("#live", "live")
		<-time.After(history)
		for _, theme := range []string{"light", "dark"} {
			b.shot(filepath.Join(dir, view+"-"+theme+".png"), theme, 1280, 860)
			b.shot(filepath.Join(dir, view+"-"+theme+"-phone.png"), theme, 390, 844)
		}
	}
}
