package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"

	"starling/conf"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
)

// storing are PREFIX_store and the directives around it in one block.
type storing struct {
	on     bool
	path   *vars.Template[*web.Request] // nil: that of the URI's file
	scope  *conf.Scope                  // of PREFIX_store if it is on: PREFIX_cache cannot be beside it
	access fs.FileMode
	temp   web.TempPath
}

// storeDirectives are those of families whose responses can be stored in files of their own.
func storeDirectives[S any](d declarer[S]) []conf.Directive {
	at := func(s *S) *storing { return &d.place(s).storing }
	store := d.one("_store", "off | on | <text>", "", "Writes each complete response with status 200 to a file: with "+
		"`on` that of the URI below `root` or `alias`, otherwise that path, which can contain variables. Folders are "+
		"created. Nothing removes the files.",
		conf.Raw(func(s *S, a *conf.Args) error { return d.place(s).setStore(a) }))
	store.DefaultDoc = "off"
	access := d.one("_store_access", "<permission> [<permission>] [<permission>]", "", "Sets the permissions of files "+
		"that are stored, and of their folders: `user:`, `group:` or `all:`, and `r` or `rw`. The user can read and "+
		"write unless `user:` is given.",
		conf.Whole(func(s *S) *fs.FileMode { return &at(s).access }, parseAccess))
	access.DefaultDoc = "user:rw"
	temp := d.one("_temp_path", "<path> [<level1>] [<level2>] [<level3>]", plan.SystemPaths().Responses,
		"Sets the directory in which responses to be stored are collected ("+d.family.Prefix+"_store), and the number "+
			"of digits in each level of subdirectories. A file is copied if it is stored in another file system. The "+
			"default is `"+plan.PrefixPaths().Responses+"` below a prefix given with `-p`.",
		conf.Whole(func(s *S) *web.TempPath { return &at(s).temp }, func(a *conf.Args) (web.TempPath, error) {
			return web.ParseTempPath(a, side.PlanOf(a).Paths.Responses)
		}))
	return []conf.Directive{store, access, temp}
}

// defaultAccess is PREFIX_store_access user:rw.
const defaultAccess fs.FileMode = 0o600

// setStore is PREFIX_store.
func (s *Settings) setStore(a *conf.Args) error {
	c, word := &s.storing, a.Words[0]
	c.on, c.path, c.scope = false, nil, nil
	switch {
	case word == "off":
		return nil
	case word == "":
		return errors.New("empty path")
	case s.caching.on && s.caching.scope == a.Scope:
		return conf.Verdict("is incompatible with \"" + strings.TrimSuffix(a.Node.Name, "_store") + "_cache\"")
	}
	c.on, c.scope = true, a.Scope
	s.caching.turnOff() // of an outer block
	if word == "on" {
		return nil
	}
	return compileTo(&c.path, a)
}

// parseAccess is ngx_conf_set_access_slot.
func parseAccess(a *conf.Args) (mode fs.FileMode, err error) {
	user := defaultAccess
	for _, word := range a.Words {
		who, may, _ := strings.Cut(word, ":")
		right := map[string]fs.FileMode{"r": 4, "rw": 6}[may]
		shift, known := map[string]int{"user": 6, "group": 3, "all": 0}[who]
		if right == 0 || !known {
			return 0, fmt.Errorf("invalid value \"%s\"", word)
		}
		if who == "user" {
			user = 0
		}
		mode |= right << shift
	}
	return mode | user, nil
}

// maxStoringBytes bounds the temporary files of all responses that are being stored: servers fill them, and the disk is
// shared with logs and the system. A response beyond it is passed on without being stored.
const maxStoringBytes = 8 << 30

// stores is what all requests share that store responses. A process has one, which reloads keep.
type stores struct {
	bytes atomic.Int64 // in temporary files
	limit int64        // maxStoringBytes, less in tests
	next  atomic.Uint64
	open  func(name string, flag int, mode os.FileMode) (*os.File, error) // os.OpenFile, but in tests
	move  func(from, to string) error                                     // rename, but in tests
}

// storesPart is the part of a configuration.
type storesPart struct{ all *stores }

// storesOf gives the plan the stores of the previous one, or makes the first.
func storesOf(p *plan.Plan) *stores {
	part := plan.Part[storesPart](p)
	if part.all == nil {
		part.all = plan.Before[storesPart](p).all
	}
	if part.all == nil {
		part.all = &stores{limit: maxStoringBytes, open: os.OpenFile, move: rename}
		part.all.next.Store(uint64(rand.Uint32())) // files left by an earlier process have other numbers
	}
	return part.all
}
