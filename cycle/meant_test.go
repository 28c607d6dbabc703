package cycle_test

import "regexp"

// difference is a difference that is meant: a pattern of "CONTEXT: TEXT\nstarling: …\nnginx: …", and why.
type difference struct {
	is  *regexp.Regexp
	why string
}

// looser is a difference about texts that only starling accepts, stricter one about those that only nginx accepts.
func looser(text, why string) difference {
	return difference{regexp.MustCompile(`^[a-z_ ]+: (?:` + text + `)\nstarling: ok\n`), why}
}

func stricter(text, why string) difference {
	return difference{regexp.MustCompile(`^[a-z_ ]+: (?:` + text + `)\nstarling: .*\nnginx: ok$`), why}
}

// meant are those of TestVerdictsBesideNginx.
var meant = []difference{
	looser(`access_log \S+ (if|buffer)=.*`, "what follows the file need not be a format"),
	looser(`aio (on|threads=.*);`, "it depends on how nginx was built; neither has an effect"),
	looser(`thread_pool n .*thread_pool n .*`, "thread pools have no effect"),
	looser(`resolver .* status_zone=.*`, "NGINX Plus has it"),
	looser(`server .* slow_start=10s;`, "NGINX Plus has it"),
	looser(`server_tokens .*`, "NGINX Plus takes any text"),
	looser(`valid_referers a; valid_referers a;`, "a name given twice does no harm"),
	stricter(`thread_pool n threads=2 .*`, "a wrong word for max_queue"),
	stricter(`\w+_bind .* transparent;`, "it is not supported"),
	stricter(`proxy_cookie_flags .*`, "an unknown flag leaves cookies unprotected"),
}
