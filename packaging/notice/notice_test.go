package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const mit = `Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software, ...
THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND.
`

// What may be linked in is named, and nothing else passes.
func TestLicencesAreJudged(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"LICENSE", mit, "MIT"},
		{"LICENSE", string(apache), "Apache-2.0"},
		{"COPYING", "Redistribution and use in source\nand binary forms, ... Neither the name of Somebody", "BSD-3-Clause"},
		{"COPYING", "Redistribution and use in source\nand binary forms, with or without", "BSD-2-Clause"},
		{"LICENSE", "Permission to use, copy, modify, and/or distribute this software for any\npurpose ..., provided that the above copyright notice", "ISC"},
		{"sub/NOTICE", "This product includes software", ""},
		{"PATENTS", "Additional IP Rights Grant", ""},
		{"LICENSE", "Mozilla Public License Version 2.0", `error: mentions the mozilla public licence: remove the dependency or write down why it may stay`},
		{"NOTICE", "parts are under the GNU General\nPublic License", `error: mentions the gnu general public licence: remove the dependency or write down why it may stay`},
		{"LICENSE", "Do what you like.", "error: is none of the licences known here: read it, and add it to kinds"},
	} {
		got, err := judge(termsFile{c.name, c.text})
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s %.30q: got %q, want %q", c.name, c.text, got, c.want)
		}
	}
}

// Code from elsewhere has its licence beside it: what lies on the way to a linked package is told, and nothing else.
func TestLicencesBesideLinkedPackagesAreTold(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"LICENSE": mit, "NOTICE.txt": "Thanks.", "internal/taken/COPYING": mit + "taken", "other/LICENSE": "not linked", "licenses.go": "package x",
		"internal/taken/deep/x.go": "package deep",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deep := filepath.Join(root, "internal/taken/deep")
	p, err := read("example.com/x", "v1.0.0", between(root, map[string]bool{deep: true}), root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range p.files {
		names = append(names, f.name)
	}
	if got, want := strings.Join(names, " "), "LICENSE NOTICE.txt internal/taken/COPYING"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	text, err := notice([]part{p}, mit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nexample.com/x v1.0.0\n", "\nLICENSE (MIT): the text is that of LICENSE.\n", "\n    Thanks.\n",
		"\ninternal/taken/COPYING (MIT):\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the notice lacks %q:\n%s", want, text)
		}
	}
}

func TestPartsWithoutLicenceAreRejected(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "PATENTS"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := read("example.com/x", "v1.0.0", []string{root}, root)
	if err == nil || !strings.HasPrefix(err.Error(), "example.com/x v1.0.0 has no licence file: it must not be linked in") {
		t.Errorf("got %v", err)
	}
}
