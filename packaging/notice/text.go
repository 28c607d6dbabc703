package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const head = `starling
Copyright 2026 The starling authors

Starling is licensed under the Apache License, Version 2.0; see LICENSE.

Its binary links the software below, whose authors keep their rights under the terms that follow. This file is
generated from the module cache: "make notice" writes it, and CI compares it.
`

const rule = "--------------------------------------------------------------------------------"

// kinds are the licences that may be linked in, by phrases that each of their texts has. Others need a decision first:
// a copyleft licence would bind every distributor of the binary.
var kinds = []struct {
	name    string
	phrases []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0, january 2004"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name of"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software", "provided that the above"}},
	{"MIT", []string{"permission is hereby granted, free of charge", `the software is provided "as is"`}},
}

// copyleft are words of licences that require more than attribution.
var copyleft = []string{
	"gnu general public", "gnu lesser", "gnu affero", "mozilla public", "server side public", "business source",
}

// notice writes the text for all parts. A licence that is identical to ours is only named.
func notice(parts []part, ours string) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(head)
	for _, p := range parts {
		title := strings.TrimSpace(p.name + " " + p.version)
		fmt.Fprintf(&out, "\n%s\n%s\n", rule, title)
		for _, f := range p.files {
			kind, err := judge(f)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", title, f.name, err)
			}
			if kind != "" {
				kind = " (" + kind + ")"
			}
			if words(f.text) == words(ours) {
				fmt.Fprintf(&out, "\n%s%s: the text is that of LICENSE.\n", f.name, kind)
				continue
			}
			fmt.Fprintf(&out, "\n%s%s:\n\n%s\n", f.name, kind, indented(f.text))
		}
	}
	return out.Bytes(), nil
}

// judge names the licence of a file, "" for a notice or a patent grant. It is an error if it may not be linked in.
func judge(f termsFile) (string, error) {
	text := words(f.text)
	for _, word := range copyleft {
		if strings.Contains(text, word) {
			return "", fmt.Errorf("mentions the %s licence: remove the dependency or write down why it may stay", word)
		}
	}
	last := strings.ToLower(f.name[strings.LastIndexByte(f.name, '/')+1:])
	if strings.HasPrefix(last, "notice") || strings.HasPrefix(last, "patents") {
		return "", nil
	}
	for _, k := range kinds {
		all := true
		for _, phrase := range k.phrases {
			all = all && strings.Contains(text, phrase)
		}
		if all {
			return k.name, nil
		}
	}
	return "", errors.New("is none of the licences known here: read it, and add it to kinds")
}

// words is a text in lower case with single spaces, so that line breaks do not matter.
func words(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

// indented distinguishes a text from ours by indentation, without trailing spaces.
func indented(text string) string {
	lines := strings.Split(strings.Trim(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
	for i, line := range lines {
		if line = strings.TrimRight(line, " \t\f"); line != "" {
			line = "    " + line
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}
