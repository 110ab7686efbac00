package edit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
	"secretsync/gitstore/definition/internal/yamltext"
	"secretsync/gitstore/definition/parse"
)

// What was read can be written and is read back the same.
func FuzzEncode(f *testing.F) {
	for _, content := range corpus.Seeds() {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := parse.File("secrets/db-password.yaml", content)
		if err != nil {
			return
		}
		again, err := parse.File("secrets/db-password.yaml", Encode(d))
		if err != nil {
			t.Fatalf("what was read can't be read again once written: %v\n%s", err, Encode(d))
		}
		if again.Name != d.Name || again.SecretPath != d.SecretPath || !slices.Equal(again.Sync, d.Sync) {
			t.Fatalf("%v became %v", d, again)
		}
	})
}

// An edit makes the list what was asked for, leaves everything outside it alone
// and loses no comment that isn't part of a target.
func FuzzEdit(f *testing.F) {
	for _, content := range corpus.Seeds() {
		for seed := range uint64(4) {
			f.Add(content, seed)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, seed uint64) {
		checkEdit(t, content, rand.New(rand.NewPCG(seed, 0)))
	})
}

// The same, of files written in all the ways that people and programs have.
func FuzzEditOfManyLayouts(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, layout, change uint64) {
		content := someLayout(rand.New(rand.NewPCG(layout, 1)))
		quick, err := parse.File("secrets/db-password.yaml", content)
		if err != nil {
			t.Fatalf("%v\n%s", err, content)
		}
		if full, err := parse.Read(content); err != nil || !full.Definition.Equal(quick) {
			t.Fatalf("read as %v, and with where its parts stand as %v, %v\n%s", quick, full, err, content)
		}
		checkEdit(t, content, rand.New(rand.NewPCG(change, 2)))
	})
}

func checkEdit(t *testing.T, content []byte, r *rand.Rand) {
	t.Helper()
	before, err := parse.Read(content)
	if err != nil {
		return
	}
	sync := someTargets(r, before.Definition)
	if _, err := definition.New(before.Definition.Name, before.Definition.SecretPath, sync); err != nil {
		return
	}
	edited, err := File(content, definition.SyncTo(sync))
	if _, ok := errors.AsType[*definition.SizeError](err); ok && len(content) > definition.MaxFileSize/2 {
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s\n%v", err, content, sync)
	}
	after, err := parse.Read(edited)
	if err != nil || after.Definition.Name != before.Definition.Name ||
		after.Definition.SecretPath != before.Definition.SecretPath || !slices.Equal(after.Definition.Sync, sync) {
		t.Fatalf("%s\nshall have %v but became\n%s", content, sync, edited)
	}
	if same, err := File(edited, definition.SyncTo(sync)); err != nil || !bytes.Equal(same, edited) {
		t.Fatalf("the same list changed\n%s\nto\n%s", edited, same)
	}
	if json.Valid(content) && !json.Valid(edited) {
		t.Fatalf("JSON is none any more: %s", edited)
	}
	checkOutside(t, &file{before}, &file{after})
	checkComments(t, &file{before}, &file{after})
}

// someLayout writes a definition with up to four targets.
func someLayout(r *rand.Rand) []byte {
	maybe := func(s ...string) string {
		if n := r.IntN(len(s) + 2); n < len(s) {
			return s[n]
		}
		return ""
	}
	count := 0
	comment := func() string {
		count++
		return fmt.Sprintf("# comment %d, {of: [many]} - 'quoted", count)
	}
	lineEnd := func() string {
		return maybe(" "+comment(), "\t"+comment(), "  ") + "\n"
	}
	between := func(indents ...int) string {
		var b strings.Builder
		for r.IntN(3) == 0 {
			b.WriteString(maybe(strings.Repeat(" ", indents[r.IntN(len(indents))])+comment()+"\n", "\n", "   \n"))
		}
		return b.String()
	}
	quoted := func(s string) string {
		return []string{yamltext.Scalar(s), "'" + s + "'", `"` + s + `"`}[r.IntN(3)]
	}
	fields := func(i int) [][2]string {
		all := [][2]string{{"cluster", fmt.Sprintf("c%d", i)}, {"namespace", fmt.Sprintf("n%d", i)}}
		if r.IntN(2) == 0 {
			all = append(all, [2]string{"secretName", fmt.Sprintf("s%d", i)})
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all
	}
	// flow writes a target in braces; blank is what may stand between tokens.
	flow := func(i int, blank func() string) string {
		b := "{" + blank()
		for k, f := range fields(i) {
			if k > 0 {
				b += "," + blank()
			}
			b += quoted(f[0]) + ": " + quoted(f[1]) + maybe(" ")
		}
		return b + maybe(",") + blank() + "}"
	}
	oneLine := func() string { return maybe(" ", "  ") }
	manyLines := func() string { return maybe(" ", "\n    ", " "+comment()+"\n      ", "\n") }
	flowList := func(n int, blank func() string) string {
		b := "[" + blank()
		for i := range n {
			if i > 0 {
				b += "," + blank()
			}
			b += flow(i, blank) + blank()
		}
		if n > 0 {
			b += maybe(",") + blank()
		}
		return b + "]"
	}
	n := r.IntN(5)
	if r.IntN(5) == 0 { // a mapping in braces
		entries := []string{"name: db-password", "secretPath: a", "'sync': " + flowList(n, manyLines)}
		entries = entries[:2+r.IntN(2)]
		r.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		b := maybe("---\n", comment()+"\n") + "{" + manyLines()
		for i, e := range entries {
			if i > 0 {
				b += "," + manyLines()
			}
			b += e + manyLines()
		}
		return []byte(b + maybe(",") + manyLines() + "}" + maybe("\n", " "+comment()))
	}
	var list string
	switch r.IntN(6) {
	case 0:
	case 1:
		list = "sync:" + maybe(" []", " null", " ~", " [ ]", "\n  []") + lineEnd()
	case 2:
		list = "sync: " + flowList(n, []func() string{oneLine, manyLines}[r.IntN(2)]) + lineEnd()
	case 3: // brackets over lines of their own
		list = "sync: [" + lineEnd()
		for i := range n {
			list += between(2) + "  " + flow(i, oneLine)
			if i < n-1 || r.IntN(2) == 0 {
				list += ","
			}
			list += lineEnd()
		}
		list += between(2) + "  ]" + lineEnd()
	default:
		if n == 0 {
			break
		}
		dash := r.IntN(5)
		step := 2 + r.IntN(3)
		spaced := r.IntN(3) == 0
		list = "sync:" + lineEnd()
		for i := range n {
			if spaced && i > 0 {
				list += "\n"
			} else {
				list += between(0, dash, dash+step)
			}
			list += yamltext.Spaces(dash) + "-"
			if r.IntN(4) == 0 {
				list += yamltext.Spaces(step-1) + flow(i, oneLine) + lineEnd()
				continue
			}
			if r.IntN(6) == 0 {
				// The YAML library takes no tab here.
				list += strings.ReplaceAll(lineEnd(), "\t", " ") + between(dash+step) + yamltext.Spaces(dash+step)
			} else {
				list += yamltext.Spaces(step - 1)
			}
			for k, f := range fields(i) {
				if k > 0 {
					list += between(0, dash+step) + yamltext.Spaces(dash+step)
				}
				list += quoted(f[0]) + maybe(" ") + ": " + maybe(" ") + quoted(f[1]) + lineEnd()
			}
		}
	}
	entries := []string{"name: " + quoted("db-password") + lineEnd(), quoted("secretPath") + ": a" + lineEnd()}
	if list != "" {
		entries = slices.Insert(entries, r.IntN(3), list)
	}
	text := maybe("---\n")
	for _, e := range entries {
		text += between(0) + e
	}
	text += between(0, 2, 4) + maybe("...\n")
	if r.IntN(4) == 0 {
		text = strings.TrimSuffix(text, "\n")
	}
	if r.IntN(4) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return []byte(text)
}

// someTargets makes a list out of the definition's own and of new targets.
func someTargets(r *rand.Rand, d definition.Definition) []definition.Target {
	var sync []definition.Target
	for _, t := range d.Sync {
		switch r.IntN(6) {
		case 0: // removed
		case 1:
			t.Namespace = must(definition.ParseNamespace(fmt.Sprintf("n%d", r.IntN(100))))
			sync = append(sync, t)
		case 2:
			t.SecretName = definition.SecretName{}
			if r.IntN(2) == 0 {
				t.SecretName = must(definition.ParseSecretName(fmt.Sprintf("s.%d", r.IntN(100))))
			}
			sync = append(sync, t)
		default:
			sync = append(sync, t)
		}
	}
	names := []string{"a", "null", "1e3", "0x1f", "no", "true", "2020-01-01", "b-c"}
	for range r.IntN(3) {
		t := definition.Target{Cluster: must(definition.ParseClusterName(names[r.IntN(len(names))])), Namespace: must(definition.ParseNamespace(names[r.IntN(len(names))]))}
		if r.IntN(2) == 0 {
			t.SecretName = must(definition.ParseSecretName(names[r.IntN(len(names))]))
		}
		sync = slices.Insert(sync, r.IntN(len(sync)+1), t)
	}
	if r.IntN(4) == 0 {
		r.Shuffle(len(sync), func(i, j int) { sync[i], sync[j] = sync[j], sync[i] })
	}
	if r.IntN(10) == 0 {
		sync = nil
	}
	return sync
}

// checkOutside compares what stands before the list and after it.
func checkOutside(t *testing.T, before, after *file) {
	t.Helper()
	if before.Sync.Key == nil {
		// Only lines and a ',' are added.
		if rest := bytes.Split(before.Text, []byte("\n")); len(rest) > len(bytes.Split(after.Text, []byte("\n"))) {
			t.Fatalf("%q lost lines as %q", before.Text, after.Text)
		}
		return
	}
	colonB, _ := before.Colon(before.Sync.Key)
	colonA, _ := after.Colon(after.Sync.Key)
	if !bytes.Equal(before.Text[:colonB], after.Text[:colonA]) {
		t.Fatalf("before the list, %q became %q", before.Text[:colonB], after.Text[:colonA])
	}
	_, endB := before.syncSpan()
	_, endA := after.syncSpan()
	tailB := nextKey(before, endB)
	tailA := nextKey(after, endA)
	if !bytes.Equal(tailB, tailA) {
		t.Fatalf("after the list, %q became %q", tailB, tailA)
	}
}

// nextKey returns the text from the first key after the list on.
func nextKey(f *file, end int) []byte {
	for i := 0; i < len(f.Root.Content); i += 2 {
		if at := f.Offset(f.Root.Content[i]); at >= end {
			return f.Text[at:]
		}
	}
	if yamltext.InFlow(f.Root) {
		return f.Text[f.End(f.Root)-1:]
	}
	return nil
}

// checkComments looks for every comment that isn't part of a target, and for
// the whole of every target that stays.
func checkComments(t *testing.T, before, after *file) {
	t.Helper()
	have := map[string]int{}
	for _, c := range comments(after.Text) {
		have[c]++
	}
	at := 0
	check := func(to int) {
		if at >= to {
			return
		}
		for _, c := range comments(before.Text[at:to]) {
			if have[c]--; have[c] < 0 {
				t.Fatalf("comment %q is lost:\n%s\nbecame\n%s", c, before.Text, after.Text)
			}
		}
	}
	for i, e := range before.Targets {
		begin := before.Offset(e.Node)
		own := before.Text[begin:before.End(e.Node)]
		if slices.Contains(after.Definition.Sync, before.Definition.Sync[i]) && !bytes.Contains(after.Text, own) {
			t.Fatalf("%q stays but was written anew:\n%s\nbecame\n%s", own, before.Text, after.Text)
		}
		if !yamltext.InFlow(before.Sync.Value) {
			begin = before.Lines[before.itemLine(i)-1]
		}
		check(begin)
		at = before.LineEnd(before.LineAt(before.End(e.Node)))
	}
	check(len(before.Text))
}

// comments returns the comments of a valid file, in which '#' can stand nowhere else.
func comments(text []byte) []string {
	var all []string
	for line := range strings.Lines(string(text)) {
		if _, c, ok := strings.Cut(line, "#"); ok {
			all = append(all, strings.TrimRight(c, "\r\n"))
		}
	}
	return all
}
