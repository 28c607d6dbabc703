package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"starling/conf"
	"starling/cycle"
	"starling/logs"
	"starling/modules/core"
	"starling/nginx/errno"
)

// identity is the user that the process becomes.
type identity struct {
	user   string
	uid    int
	group  string
	gid    int
	groups []int // gid among them
	node   *conf.Node
}

// nobody is the default of the "user" directive, as in nginx, and overflowID its ID if there is no user database, as in
// a container image that has only the program.
const (
	nobody     = "nobody"
	overflowID = 65534
)

// whom finds the user: the one in the directive, otherwise nobody with its group, or nogroup.
func whom(u *core.User) (identity, error) {
	if u == nil {
		return nobodyIs(user.Lookup)
	}
	id := identity{user: u.Name, group: u.Group, node: u.Node}
	var err error
	if id.uid, id.gid, err = u.IDs(); err != nil {
		return id, err
	}
	if group, err := user.LookupGroupId(strconv.Itoa(id.gid)); err == nil {
		id.group = group.Name
	}
	if id.groups, err = memberOf(u.Name, id.gid); err != nil {
		return id, conf.At(u.Node, "cannot look up the groups of user \"%s\": %s", u.Name, err)
	}
	return id, nil
}

// nobodyIs is whom without the directive.
func nobodyIs(lookup func(string) (*user.User, error)) (identity, error) {
	id := identity{user: nobody, uid: overflowID, group: "nogroup", gid: overflowID, groups: []int{overflowID}}
	account, err := lookup(nobody)
	if err != nil {
		return id, nil //nolint:nilerr // the numbers will do
	}
	if id.uid, err = strconv.Atoi(account.Uid); err != nil {
		return id, fmt.Errorf("ID \"%[2]s\" of user \"%[1]s\" is not a number", nobody, account.Uid)
	}
	for _, name := range []string{nobody, "nogroup"} {
		group, err := user.LookupGroup(name)
		if err != nil {
			continue
		}
		if id.gid, err = strconv.Atoi(group.Gid); err != nil {
			return id, fmt.Errorf("ID \"%[2]s\" of group \"%[1]s\" is not a number", name, group.Gid)
		}
		id.group = name
		break
	}
	id.groups = []int{id.gid}
	return id, nil
}

// failed formats a failed call that is needed to change the user.
func (id *identity) failed(call string, err error) error {
	text := fmt.Sprintf("%s failed (%s)", call, errno.Reason(err))
	if id.node != nil {
		return conf.At(id.node, "%s", text)
	}
	return errors.New(
		text + ": starling started as root runs as \"nobody\" by default; set another \"user\", or keep root with " +
			"\"user root\"",
	)
}

// become drops the privileges of root, once everything is open that only root can open. The privileges needed by a
// reload are kept if the system supports it, in a thread that serves no client: binding ports below 1024 and opening
// any file.
func become(u *core.User, host *cycle.Host, log logs.Logger) error {
	if os.Geteuid() != 0 {
		if u != nil {
			log.Logf(
				logs.Warn,
				"%v",
				conf.At(
					u.Node,
					"the \"user\" directive makes sense only if the process runs with super-user privileges, ignored",
				),
			)
		}
		return nil
	}
	id, err := whom(u)
	if err != nil {
		return err
	}
	if id.uid == 0 {
		log.Logf(logs.Notice,
			"running as root because \"user\" is root: every file below \"root\" can be served regardless of its "+
				"permissions")
		return nil
	}
	for _, err := range host.GiveTo(id.uid, id.gid) {
		log.Logf(logs.Warn, "%v", err)
	}
	kept, keeps := keepRights()
	if err := syscall.Setgroups(id.groups); err != nil {
		return id.failed(fmt.Sprintf("setgroups() for user \"%s\"", id.user), err)
	}
	if err := syscall.Setgid(id.gid); err != nil {
		return id.failed(fmt.Sprintf("setgid(%d)", id.gid), err)
	}
	if err := syscall.Setuid(id.uid); err != nil {
		return id.failed(fmt.Sprintf("setuid(%d)", id.uid), err)
	}
	left := "reloads keep root's privileges to bind ports below 1024 and to read and write files"
	if keeps == nil {
		keeps = kept.dropRights()
	}
	if keeps == nil {
		host.GaveUpRights(kept.asStarted)
	} else {
		host.GaveUpRights(nil)
		log.Logf(logs.Warn, "cannot keep root privileges for reloads: %v", keeps)
		left = "reloads have only this user's privileges: they cannot bind new ports below 1024 or read files of " +
			"other users"
	}
	log.Logf(logs.Notice, "started as root, running as user \"%s\" (%d), group \"%s\" (%d); %s", id.user, id.uid,
		id.group, id.gid, left)
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
			return nil, fmt.Errorf("group ID %q is not a number", n)
		}
		if id != gid {
			groups = append(groups, id)
		}
	}
	return groups, nil
}
