package core

import (
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/web"
)

// checkValue checks the arguments of a directive without effect, by its syntax.
func checkValue(syntax string, a *conf.Args) (err error) {
	if check := checks[syntax]; check != nil {
		return check(a)
	}
	switch hash := strings.Contains(a.Node.Name, "_hash_"); { // whose sizes are numbers
	case a.Node.Name == "worker_priority":
		_, err = conf.Number(strings.TrimPrefix(a.Words[0], "-"))
	case syntax == "<number>", syntax == "<size>" && hash:
		_, err = conf.Number(a.Words[0])
	case syntax == "<size>":
		_, err = conf.Offset(a.Words[0]) // worker_rlimit_core has gigabytes
	case syntax == "<time>", syntax == "<interval>":
		_, err = conf.Time(a.Words[0])
	}
	return err
}

// The syntaxes of several values.
const (
	buffersSyntax    = "<number> <size>"
	tempPathSyntax   = "<path> [<level1>] [<level2>] [<level3>]"
	masksSyntax      = "<mask>..."
	eventsSyntax     = "<method>"
	threadPoolSyntax = "<name> threads=<number> [max_queue=<number>]"
	fileCacheSyntax  = "off|max=<number> [inactive=<time>]"
	directSyntax     = "<size>|off"
)

var checks = map[string]func(*conf.Args) error{
	buffersSyntax: func(a *conf.Args) error {
		n, err := conf.Number(a.Words[0])
		size, bad := conf.Size(a.Words[1])
		if err != nil || bad != nil || n == 0 || size == 0 {
			return conf.InvalidValue
		}
		return nil
	},
	tempPathSyntax: func(a *conf.Args) error {
		_, err := web.TempLevels(a.Words[1:])
		return err
	},
	masksSyntax:      checkMasks,
	eventsSyntax:     checkEvents,
	threadPoolSyntax: checkThreadPool,
	fileCacheSyntax:  checkFileCache,
	directSyntax: func(a *conf.Args) error {
		if a.Words[0] == "off" {
			return nil
		}
		_, err := conf.Offset(a.Words[0])
		return err
	},
}

func checkMasks(a *conf.Args) error {
	masks := a.Words
	if masks[0] == "auto" {
		masks = masks[1:]
	}
	for _, mask := range masks {
		if at := strings.IndexFunc(mask, func(c rune) bool { return !strings.ContainsRune("01 ", c) }); at >= 0 {
			return fmt.Errorf("invalid character \"%c\" in \"%s\"", mask[at], a.Node.Name)
		}
	}
	return nil
}

// eventMethods are nginx's, on any system.
var eventMethods = []string{"select", "poll", "epoll", "kqueue", "/dev/poll", "eventport", "iocp"}

func checkEvents(a *conf.Args) error {
	if !slices.Contains(eventMethods, a.Words[0]) {
		return fmt.Errorf("invalid event type \"%s\"", a.Words[0])
	}
	return nil
}

func checkThreadPool(a *conf.Args) error {
	for _, name := range []string{"threads", "max_queue"} {
		if !a.Has(name) {
			continue
		}
		if n, err := conf.Number(a.Value(name)); err != nil || n == 0 && name == "threads" {
			return fmt.Errorf("invalid %[1]s value \"%[1]s=%[2]s\"", name, a.Value(name))
		}
	}
	return nil
}

func checkFileCache(a *conf.Args) (err error) {
	for name, check := range map[string]func(string) error{
		"max":      func(text string) error { _, err := conf.AtLeast(conf.Number, 1)(text); return err },
		"inactive": func(text string) error { _, err := conf.Seconds(text); return err },
	} {
		if a.Has(name) && check(a.Value(name)) != nil {
			return fmt.Errorf("invalid \"%s\" parameter \"%s=%s\"", a.Node.Name, name, a.Value(name))
		}
	}
	return nil
}
