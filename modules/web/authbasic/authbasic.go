package authbasic

import (
	"errors"
	"io/fs"

	"starling/conf"
	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
	"starling/web"
)

// guard requires a password for the requests of one block.
type guard struct {
	settings *Settings
	plan     *plan.Plan
	files    files
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if text, literal := s.Realm.Literal(); literal && text == "off" || !s.hasFile {
		return nil, nil
	}
	return (&guard{settings: s, plan: b.Plan}).handle, nil
}

func (g *guard) handle(r *web.Request) web.Result {
	realm := r.Expand(&g.settings.Realm)
	if string(realm) == "off" {
		return web.Declined
	}
	user, password, given := r.BasicCredentials()
	if !given {
		r.Logf(logs.Info, "no user/password was provided for basic authentication")
		return ask(r, realm)
	}
	path := g.plan.ConfPath(string(r.Expand(&g.settings.UserFile)))
	known, err := g.files.read(path)
	if err != nil {
		return fileFailed(r, path, err)
	}
	text, found := known.passwords[string(user)]
	if !found {
		r.Logf(logs.Error, "user \"%s\" was not found in \"%s\"", user, path)
		return ask(r, realm)
	}
	encoded, err := parsePassword(text)
	if err != nil || encoded == nil {
		r.Logf(logs.Error,
			"password of user \"%s\" in \"%s\" uses an unsupported hash format: use bcrypt, $6$ or $apr1$", user, path)
		return ask(r, realm)
	}
	if !encoded.MatchesPassword(string(password)) {
		r.Logf(logs.Error, "user \"%s\": password mismatch", user)
		return ask(r, realm)
	}
	return web.OK
}

// fileFailed answers as nginx does: a missing file gives 403, any other failure 500.
func fileFailed(r *web.Request, path string, err error) web.Result {
	if errors.Is(err, fs.ErrNotExist) {
		r.Logf(logs.Error, "open() \"%s\" failed (2: No such file or directory)", path)
		return 403
	}
	r.Logf(logs.Crit, "%v", errno.Call("open", path, err))
	return 500
}

// ask sends the challenge.
func ask(r *web.Request, realm []byte) web.Result {
	challenge := append(
		append(append(r.Alloc(len(realm) + len(`Basic realm=""`))[:0], `Basic realm="`...), realm...),
		'"',
	)
	r.AddHeader([]byte("WWW-Authenticate"), challenge)
	return 401
}
