package core

import (
	"os"
	"os/user"
	"strconv"

	"starling/conf"
)

// User is the user and group to switch to when started as root.
type User struct {
	Name, Group string
	Node        *conf.Node
}

// parseUser looks the user up if the process will switch to it, so that -t finds the errors of a start.
func parseUser(a *conf.Args) (*User, error) {
	u := &User{Name: a.Value("user"), Group: a.Value("group"), Node: a.Node}
	if u.Group == "" {
		u.Group = u.Name
	}
	if os.Geteuid() != 0 {
		return u, nil
	}
	_, _, err := u.IDs()
	return u, err
}

// IDs asks the system for the ids of the user and the group.
func (u *User) IDs() (uid, gid int, err error) {
	account, err := user.Lookup(u.Name)
	if err != nil {
		return 0, 0, u.notHere("getpwnam(\"%s\") failed", u.Name)
	}
	if uid, err = strconv.Atoi(account.Uid); err != nil {
		return 0, 0, conf.At(u.Node, "ID \"%[2]s\" of user \"%[1]s\" is not a number", u.Name, account.Uid)
	}
	if u.Group == u.Name { // not given: nginx uses the group of the same name; if there is none, we use the user's own
		if gid, err = strconv.Atoi(account.Gid); err == nil {
			if group, err := user.LookupGroup(u.Group); err == nil {
				gid, err = strconv.Atoi(group.Gid)
				return uid, gid, err
			}
			return uid, gid, nil
		}
	}
	group, err := user.LookupGroup(u.Group)
	if err != nil {
		return 0, 0, u.notHere("getgrnam(\"%s\") failed", u.Group)
	}
	if gid, err = strconv.Atoi(group.Gid); err != nil {
		return 0, 0, conf.At(u.Node, "ID \"%[2]s\" of group \"%[1]s\" is not a number", u.Group, group.Gid)
	}
	return uid, gid, nil
}

// notHere is the error for a name that another machine may know.
func (u *User) notHere(format, name string) error {
	p := conf.At(u.Node, format, name)
	p.Kind = conf.NotHere
	return p
}
