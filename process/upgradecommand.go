package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"starling/cycle"
	"starling/nginx/errno"
)

const (
	// takenWithin is how long a process may take to read the request. A release that cannot be upgraded never does.
	takenWithin = 10 * time.Second
	// answerWithin is what the steps of the old process may add to the time that the new one has.
	answerWithin = shareTimeout + drainTimeout + takeTimeout + takenWithin
	// lookForResult is how often the result is looked for.
	lookForResult = 20 * time.Millisecond
)

// upgradeCommand replaces the binary of a running process.
func upgradeCommand() *cobra.Command {
	f := flags{conf: DefaultConf}
	var wait time.Duration
	var keep bool
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "replace the binary of the running process, without a gap",
		Long: `Replace the binary of the running process, which is found by its pid file. It starts the binary that is now where it was
started from, as its child, on the same sockets. The new process reads the configuration and learns all zones; when it
has them, it accepts the clients. The old process serves those that it has and ends with the last of them.

If the new process does not start, rejects the configuration or is not ready in time, nothing changes: the old one goes
on serving. The exit status is then 1, and the reason is printed and logged.

The first process of a container cannot be upgraded: replace the container.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if wait <= 0 {
				return fmt.Errorf("invalid --wait %v: it must be above 0", wait)
			}
			return requestUpgrade(c.OutOrStdout(), f, request{WaitSeconds: wait.Seconds(), Finish: !keep})
		},
	}
	c.Flags().StringVarP(&f.prefix, "prefix", "p", "", "prefix of the running process")
	c.Flags().StringVarP(&f.conf, "conf", "c", DefaultConf, "configuration file of the running process")
	c.Flags().StringVarP(&f.globals, "globals", "g", "", "global directives of the running process")
	c.Flags().DurationVar(&wait, "wait", readyWithin, "time until the new process must be ready")
	c.Flags().BoolVar(&keep, "keep", false,
		"keep the old process without clients: HUP makes it serve again, QUIT ends it")
	return c
}

// requestUpgrade asks the running process, and waits for the result.
func requestUpgrade(out io.Writer, f flags, r request) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	d, err := cycle.Read(o)
	if err != nil {
		for _, problem := range flatten(err) {
			complain("[emerg] %v", problem)
		}
		return errors.New("this version rejects the configuration; nothing was changed, and the old process goes on " +
			"serving: mend the configuration and try again")
	}
	path := d.PIDPath()
	pid, err := readPID(path)
	if err != nil {
		return fmt.Errorf("%w: there is no process to replace, or it has another configuration (-c, -p, -g)", err)
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock() // an error closes the folder, too
	if err := os.Remove(path + resultSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(path+requestSuffix, text, 0o644); err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		return errors.Join(systemError(fmt.Sprintf("kill(%d, SIGUSR2)", pid), "", err), os.Remove(path+requestSuffix))
	}
	answer, err := awaitResult(pid, path, r.wait())
	switch {
	case err != nil:
		return err
	case answer.Error != "":
		return fmt.Errorf("%s; process %d goes on serving", answer.Error, pid)
	case r.Finish:
		fmt.Fprintf(out, "process %d serves with the new binary; process %d ends with its last client\n",
			answer.PID, pid)
	default:
		fmt.Fprintf(out, "process %d serves with the new binary; process %d stays: HUP makes it serve again, QUIT "+
			"ends it\n", answer.PID, pid)
	}
	return nil
}

// lockFolder keeps a second "starling upgrade" from the two files beside the pid file while the first uses them.
func lockFolder(dir string) (unlock func() error, err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(errors.New("another \"starling upgrade\" is under way: wait for its result"),
			folder.Close())
	case err != nil:
		return nil, errors.Join(errno.Call("flock", dir, err), folder.Close())
	}
	return folder.Close, nil
}

// awaitResult waits for what the old process writes.
func awaitResult(pid int, path string, wait time.Duration) (r result, err error) {
	began := time.Now()
	looks := time.NewTicker(lookForResult)
	defer looks.Stop()
	for range looks.C {
		text, err := readSmall(path + resultSuffix)
		switch {
		case err == nil:
			return r, errors.Join(json.Unmarshal(text, &r), os.Remove(path+resultSuffix))
		case !errors.Is(err, fs.ErrNotExist):
			return r, err
		case errors.Is(syscall.Kill(pid, 0), syscall.ESRCH):
			return r, fmt.Errorf("process %d ended before the upgrade had; see its error log", pid)
		}
		_, err = os.Stat(path + requestSuffix)
		waits := time.Since(began)
		switch {
		case err == nil && waits > takenWithin:
			return r, errors.Join(
				fmt.Errorf("process %d does not take the request: it cannot be upgraded, as the releases before 0.2.0 "+
					"cannot, or is busy; nothing was changed", pid),
				os.Remove(path+requestSuffix))
		case waits > wait+answerWithin:
			return r, fmt.Errorf("process %d did not answer within %v; see its error log", pid, wait+answerWithin)
		}
	}
	return r, nil
}
