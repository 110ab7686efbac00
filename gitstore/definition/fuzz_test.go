package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// addSeeds gives a fuzz test every definition of the corpus.
func addSeeds(f *testing.F, add func(content []byte)) {
	for _, c := range wellFormed {
		add([]byte(c.content))
	}
	for _, c := range malformed {
		add([]byte(c.content))
	}
	for _, c := range edits {
		add([]byte(c.before))
		add([]byte(c.after))
	}
}

// Whatever the bytes are, reading them ends in a definition that can be written
// and read back, or in errors that name file, line and cause.
func FuzzParse(f *testing.F) {
	addSeeds(f, func(content []byte) { f.Add(content) })
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := Parse("secrets/db-password.yaml", content)
		checkPlain(t, content)
		if err != nil {
			checkErrors(t, content, err)
			return
		}
		again, err := Parse("secrets/db-password.yaml", Encode(d))
		if err != nil {
			t.Fatalf("what was read can't be read again once written: %v\n%s", err, Encode(d))
		}
		if again.Name != d.Name || again.SecretPath != d.SecretPath || !slices.Equal(again.Sync, d.Sync) {
			t.Fatalf("%v became %v", d, again)
		}
	})
}

// checkPlain holds that what the quick parser reads, the full one reads the same.
func checkPlain(t *testing.T, content []byte) {
	t.Helper()
	quick, ok := parsePlain(content)
	if !ok {
		return
	}
	p := &parser{}
	full := p.parse(content)
	if err := p.err(); err != nil {
		t.Fatalf("read quickly as %v, but: %v\n%s", quick, err, content)
	}
	if d := full.definition; d.Name != quick.Name || d.SecretPath != quick.SecretPath || !slices.Equal(d.Sync, quick.Sync) {
		t.Fatalf("read quickly as %v, and as %v\n%s", quick, d, content)
	}
}

func checkErrors(t *testing.T, content []byte, err error) {
	t.Helper()
	var all FileErrors
	if !errors.As(err, &all) || len(all) == 0 || !errors.Is(err, ErrInvalid) {
		t.Fatalf("error of an unexpected type: %v", err)
	}
	for _, e := range all {
		if e.Cause == causeOfFault {
			t.Fatalf("reading panicked: %q", content)
		}
		if e.Line < 0 || e.Line > bytes.Count(content, []byte("\n"))+1 || e.Cause == "" || strings.ContainsAny(e.Cause, "\n\r\x00") || len(e.Cause) > 800 {
			t.Fatalf("error that serves nobody: %q", e)
		}
	}
}

// An edit makes the list what was asked for, leaves everything outside it alone
// and loses no comment that isn't part of a target.
func FuzzEdit(f *testing.F) {
	addSeeds(f, func(content []byte) {
		for seed := range uint64(4) {
			f.Add(content, seed)
		}
	})
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
		if _, err := Parse("secrets/db-password.yaml", content); err != nil {
			t.Fatalf("%v\n%s", err, content)
		}
		checkPlain(t, content)
		checkEdit(t, content, rand.New(rand.NewPCG(change, 2)))
	})
}

func checkEdit(t *testing.T, content []byte, r *rand.Rand) {
	t.Helper()
	p := &parser{}
	before := p.parse(content)
	if p.err() != nil {
		return
	}
	sync := someTargets(r, before.definition)
	if _, err := New(before.definition.Name, before.definition.SecretPath, sync); err != nil {
		return
	}
	edited, err := Edit(content, SyncTo(sync))
	if _, ok := errors.AsType[*SizeError](err); ok && len(content) > MaxFileSize/2 {
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s\n%v", err, content, sync)
	}
	p = &parser{}
	after := p.parse(edited)
	if p.err() != nil || after.definition.Name != before.definition.Name ||
		after.definition.SecretPath != before.definition.SecretPath || !slices.Equal(after.definition.Sync, sync) {
		t.Fatalf("%s\nshall have %v but became\n%s", content, sync, edited)
	}
	if same, err := Edit(edited, SyncTo(sync)); err != nil || !bytes.Equal(same, edited) {
		t.Fatalf("the same list changed\n%s\nto\n%s", edited, same)
	}
	if json.Valid(content) && !json.Valid(edited) {
		t.Fatalf("JSON is none any more: %s", edited)
	}
	checkOutside(t, before, after)
	checkComments(t, before, after)
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
		return []string{scalar(s), "'" + s + "'", `"` + s + `"`}[r.IntN(3)]
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
			list += spaces(dash) + "-"
			if r.IntN(4) == 0 {
				list += spaces(step-1) + flow(i, oneLine) + lineEnd()
				continue
			}
			if r.IntN(6) == 0 {
				// The YAML library takes no tab here.
				list += strings.ReplaceAll(lineEnd(), "\t", " ") + between(dash+step) + spaces(dash+step)
			} else {
				list += spaces(step - 1)
			}
			for k, f := range fields(i) {
				if k > 0 {
					list += between(0, dash+step) + spaces(dash+step)
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
func someTargets(r *rand.Rand, d Definition) []Target {
	var sync []Target
	for _, t := range d.Sync {
		switch r.IntN(6) {
		case 0: // removed
		case 1:
			t.Namespace = Namespace{text{fmt.Sprintf("n%d", r.IntN(100))}}
			sync = append(sync, t)
		case 2:
			t.SecretName = SecretName{}
			if r.IntN(2) == 0 {
				t.SecretName = SecretName{text{fmt.Sprintf("s.%d", r.IntN(100))}}
			}
			sync = append(sync, t)
		default:
			sync = append(sync, t)
		}
	}
	names := []string{"a", "null", "1e3", "0x1f", "no", "true", "2020-01-01", "b-c"}
	for range r.IntN(3) {
		t := Target{Cluster: ClusterName{text{names[r.IntN(len(names))]}}, Namespace: Namespace{text{names[r.IntN(len(names))]}}}
		if r.IntN(2) == 0 {
			t.SecretName = SecretName{text{names[r.IntN(len(names))]}}
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
func checkOutside(t *testing.T, before, after *document) {
	t.Helper()
	if before.sync.key == nil {
		// Only lines and a ',' are added.
		if rest := bytes.Split(before.text, []byte("\n")); len(rest) > len(bytes.Split(after.text, []byte("\n"))) {
			t.Fatalf("%q lost lines as %q", before.text, after.text)
		}
		return
	}
	colonB, _ := before.colon(before.sync.key)
	colonA, _ := after.colon(after.sync.key)
	if !bytes.Equal(before.text[:colonB], after.text[:colonA]) {
		t.Fatalf("before the list, %q became %q", before.text[:colonB], after.text[:colonA])
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
func nextKey(f *document, end int) []byte {
	for i := 0; i < len(f.root.Content); i += 2 {
		if at := f.offset(f.root.Content[i]); at >= end {
			return f.text[at:]
		}
	}
	if inFlow(f.root) {
		return f.text[f.end(f.root)-1:]
	}
	return nil
}

// checkComments looks for every comment that isn't part of a target, and for
// the whole of every target that stays.
func checkComments(t *testing.T, before, after *document) {
	t.Helper()
	have := map[string]int{}
	for _, c := range comments(after.text) {
		have[c]++
	}
	at := 0
	check := func(to int) {
		if at >= to {
			return
		}
		for _, c := range comments(before.text[at:to]) {
			if have[c]--; have[c] < 0 {
				t.Fatalf("comment %q is lost:\n%s\nbecame\n%s", c, before.text, after.text)
			}
		}
	}
	for i, e := range before.targets {
		begin := before.offset(e.node)
		own := before.text[begin:before.end(e.node)]
		if slices.Contains(after.definition.Sync, before.definition.Sync[i]) && !bytes.Contains(after.text, own) {
			t.Fatalf("%q stays but was written anew:\n%s\nbecame\n%s", own, before.text, after.text)
		}
		if !inFlow(before.sync.value) {
			begin = before.lines[before.itemLine(i)-1]
		}
		check(begin)
		at = before.lineEnd(before.lineAt(before.end(e.node)))
	}
	check(len(before.text))
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
