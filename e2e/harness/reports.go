package harness

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// raceTitle begins each report of the race detector.
const raceTitle = "WARNING: DATA RACE"

// raceOptions is the variable of the environment with the options of the race detector.
const raceOptions = "GORACE"

// reportTo makes a folder, and returns the raceOptions with which a program writes its reports there. Those on standard
// error are lost when a test does not read it to the end.
func reportTo(folder string) (options string, err error) {
	// A node of root becomes nobody.
	err = errors.Join(os.MkdirAll(folder, 0o700), os.Chmod(folder, 0o777))
	// By default, a program waits a second before it ends.
	return "atexit_sleep_ms=0 log_path='" + filepath.Join(folder, "report") + "'", err
}

// reports are what programs have reported below a folder, which need not be there.
func reports(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "report.*"))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all.Write(text)
	}
	return all.String(), nil
}

// reportsFolder has the reports of the node's processes.
func (n *Node) reportsFolder() string { return filepath.Join(n.Dir, "races") }

// checkRaces fails the test if a process of the node had a data race. Nothing excuses one.
func (n *Node) checkRaces() {
	n.T.Helper()
	text, err := reports(n.reportsFolder())
	if err != nil {
		n.T.Error(err)
	}
	// A process whose environment a script has cleared writes to its standard error, which can be the log.
	for _, other := range []string{n.stderr.String(), n.Log()} {
		if strings.Contains(other, raceTitle) {
			text += other
		}
	}
	if text != "" {
		n.T.Errorf("the race detector reports of %s:\n%s", n.Name, text)
	}
}
