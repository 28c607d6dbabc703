package process

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"starling/conf"
	"starling/cycle"
	"starling/logs"
	"starling/modules/core"
)

// become gives up the rights of root for those of a user. The right to bind ports below 1024 is kept where the system allows
// it, for a reload may need it.
func become(u *core.User, host *cycle.Host, log logs.Logger) error {
	if os.Geteuid() != 0 {
		log.Logf(logs.Warn, "%v", conf.At(u.Node, "the \"user\" directive makes sense only if the process runs with super-user privileges, ignored"))
		return nil
	}
	uid, gid, err := u.IDs()
	if err != nil {
		return err
	}
	for _, err := range host.Chown(uid, gid) {
		log.Logf(logs.Warn, "%v", err)
	}
	groups, err := memberOf(u.Name, gid)
	if err != nil {
		return conf.At(u.Node, "the groups of user \"%s\" are unknown: %s", u.Name, err)
	}
	keepsPorts := keepRights() == nil
	if err := syscall.Setgroups(groups); err != nil {
		return conf.At(u.Node, "setgroups() for user \"%s\" failed (%s)", u.Name, err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return conf.At(u.Node, "setgid(%d) failed (%s)", gid, err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return conf.At(u.Node, "setuid(%d) failed (%s)", uid, err)
	}
	if keepsPorts {
		keepsPorts = keepBindRight() == nil
	}
	if !keepsPorts {
		log.Logf(logs.Notice, "running as \"%s\": a reload cannot bind ports below 1024 that are not bound yet", u.Name)
	}
	return nil
}

// memberOf lists the groups that a user belongs to, gid among them.
func memberOf(name string, gid int) ([]int, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	names, err := account.GroupIds()
	if err != nil {
		return nil, err
	}
	groups := []int{gid}
	for _, n := range names {
		id, err := strconv.Atoi(n)
		if err != nil {
			return nil, fmt.Errorf("group id %q is no number", n)
		}
		if id != gid {
			groups = append(groups, id)
		}
	}
	return groups, nil
}
