package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secretsync/gitstore/internal/gitdir/object"
)

var (
	idA = object.NameOf(object.KindBlob, []byte("a"))
	idB = object.NameOf(object.KindBlob, []byte("b"))
)

// lines makes pkt-lines. What is one of "0000" to "0002" stays as it is.
func lines(list ...string) string {
	var b []byte
	for _, line := range list {
		switch line {
		case "0000", "0001", "0002":
			b = append(b, line...)
		default:
			b = appendLine(b, "%s", line)
		}
	}
	return string(b)
}

func TestAdvertisements(t *testing.T) {
	all := Wanted{MaxRefs: 100}
	first := func(rest string) string { return idA.String() + " " + rest }
	for name, c := range map[string]struct {
		in     string
		wanted Wanted
		want   Refs
		fails  error
	}{
		"of version 0": {in: lines(first("HEAD\x00symref=HEAD:refs/heads/main ofs-delta agent=x\n"), first("refs/heads/main\n"), "0000"), wanted: all,
			want: Refs{Hashes: map[string]object.Hash{"HEAD": idA, "refs/heads/main": idA}, Head: "refs/heads/main"}},
		"of version 1, over HTTP": {in: lines("# service=git-upload-pack\n", "0000", "version 1\n", first("refs/heads/x\x00ofs-delta\n"), "0000"), wanted: all,
			want: Refs{Hashes: map[string]object.Hash{"refs/heads/x": idA}}},
		"with tags, of which what they peel to is left out": {in: lines(first("refs/tags/v\x00"), idB.String()+" refs/tags/v^{}", "0000"), wanted: all,
			want: Refs{Hashes: map[string]object.Hash{"refs/tags/v": idA}}},
		"of which some are wanted": {in: lines(first("refs/heads/a\x00"), first("refs/pull/1/head"), "0000"), wanted: Wanted{Prefixes: []string{"refs/heads/"}, MaxRefs: 1},
			want: Refs{Hashes: map[string]object.Hash{"refs/heads/a": idA}}},
		"of which none is wanted": {in: lines(first("refs/pull/1/head\x00"), "0000"), wanted: Wanted{Prefixes: []string{"refs/heads/"}, MaxRefs: 1},
			want: Refs{}},
		"of an empty repository": {in: lines(object.Hash{}.String()+" capabilities^{}\x00report-status\n", "0000"), wanted: all,
			want: Refs{Empty: true}},
		"of an empty repository that says nothing": {in: lines("# service=git-upload-pack\n", "0000", "0000"), wanted: all,
			want: Refs{Empty: true}},
		"with what others share": {in: lines(first(".have\x00report-status"), "0000"), wanted: all, want: Refs{Empty: true}},
		"that is shallow":        {in: lines(first("refs/heads/a\x00"), "shallow "+idB.String(), "0000"), wanted: all, want: Refs{Hashes: map[string]object.Hash{"refs/heads/a": idA}}},
		"that ends":              {in: lines(first("refs/heads/a\x00")), wanted: all, fails: io.ErrUnexpectedEOF},
		"that is nothing":        {in: "", wanted: all, fails: io.ErrUnexpectedEOF},
		"that is a page":         {in: "<html>", wanted: all, fails: ErrMalformed},
		"with a line of nothing": {in: "0004", wanted: all, fails: ErrMalformed},
		"with a long line":       {in: "ffff", wanted: all, fails: ErrMalformed},
		"with no hash":           {in: lines("x refs/heads/a\x00", "0000"), wanted: all, fails: ErrMalformed},
		"with a delimiter":       {in: lines(first("refs/heads/a\x00"), "0001"), wanted: all, fails: ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := NewReader(strings.NewReader(c.in)).ReadAdvertisement(c.wanted)
			if !errors.Is(err, c.fails) {
				t.Fatalf("got %v, want %v", err, c.fails)
			}
			if diff := cmp.Diff(c.want, a.Refs); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAdvertisementsThatAreRefusedSayWhy(t *testing.T) {
	for in, want := range map[string]string{
		lines(idA.String()+" refs/a\x00", idA.String()+" refs/b", "0000"):         "more than 1 ref",
		lines(idA.String()+" refs/a\x00object-format=sha256", "0000"):             "sha256",
		lines("version 2\n", "ls-refs\n", "object-format=sha256\n", "0000"):       "sha256",
		lines("ERR \x1b[2Jno\x07thing here\r\n"):                                  "the server says: nothing here",
		lines(idA.String()+" refs/a\x00", "ERR gone", "0000"):                     "the server says: gone",
		lines("# service=git-upload-pack\n", "0000", "ERR access denied", "0000"): "access denied",
	} {
		if _, err := NewReader(strings.NewReader(in)).ReadAdvertisement(Wanted{MaxRefs: 1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestWhatNobodyAskedForIsNotKept(t *testing.T) {
	const refs = 1_000_000
	in := io.MultiReader(strings.NewReader(lines(idA.String()+" refs/heads/main\x00ofs-delta\n")),
		&repeated{line: lines(idA.String() + " refs/pull/7/head\n"), left: refs}, strings.NewReader("0000"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, err := NewReader(in).ReadAdvertisement(Wanted{Prefixes: []string{"refs/heads/"}, MaxRefs: 10})
	runtime.ReadMemStats(&after)
	if err != nil || len(a.Refs.Hashes) != 1 {
		t.Fatalf("%v, %v", a.Refs, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes were allocated for %d references", used, refs)
	}
}

// repeated is a line, over and over.
type repeated struct {
	line string
	at   int
	left int
}

func (r *repeated) Read(b []byte) (n int, err error) {
	for n < len(b) && r.left > 0 {
		copied := copy(b[n:], r.line[r.at:])
		n += copied
		if r.at += copied; r.at == len(r.line) {
			r.at = 0
			r.left--
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestAnswersToARequestForReferences(t *testing.T) {
	in := lines(idA.String()+" HEAD symref-target:refs/heads/main\n", idA.String()+" refs/heads/main\n", idB.String()+" refs/tags/v peeled:"+idA.String()+"\n",
		idB.String()+" refs/other\n", "0000")
	got, err := NewReader(strings.NewReader(in)).ReadRefs(Wanted{Prefixes: []string{"refs/heads/", "refs/tags/"}, MaxRefs: 3})
	want := Refs{Hashes: map[string]object.Hash{"HEAD": idA, "refs/heads/main": idA, "refs/tags/v": idB}, Head: "refs/heads/main"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	got, err = NewReader(strings.NewReader(lines("unborn HEAD symref-target:refs/heads/trunk\n", "0000"))).ReadRefs(Wanted{MaxRefs: 3})
	if diff := cmp.Diff(Refs{Head: "refs/heads/trunk", Empty: true}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, in := range []string{lines(idA.String() + " HEAD"), lines(idA.String(), "0000"), lines("unborn", "0000"), lines("0001"), lines("0002")} {
		if _, err := NewReader(strings.NewReader(in)).ReadRefs(Wanted{MaxRefs: 3}); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
}

func TestAPackIsFoundInEveryAnswer(t *testing.T) {
	const pack = "PACK and the rest"
	ack := "ACK " + idA.String()
	for name, c := range map[string]struct {
		version Version
		offers  string
		in      string
		fails   string
	}{
		"version 2":                         {version: V2, in: lines("packfile\n", "\x02Counting\r", "\x01PACK and", "\x01", "\x01 the rest", "0000")},
		"version 2, after other sections":   {version: V2, in: lines("shallow-info\n", "shallow "+idA.String(), "0001", "packfile\n", "\x01"+pack, "0000")},
		"version 2, without a pack":         {version: V2, in: lines("acknowledgments\n", "NAK\n", "0000"), fails: "no pack"},
		"version 2, with the server's word": {version: V2, in: lines("packfile\n", "\x01PACK", "\x03out of memory\n"), fails: "out of memory"},
		"version 2, cut short":              {version: V2, in: lines("packfile\n", "\x01PACK"), fails: "unexpected EOF"},
		"version 2, with a fourth channel":  {version: V2, in: lines("packfile\n", "\x04PACK", "0000"), fails: "channel 4"},
		"nothing in common":                 {offers: "side-band-64k", in: lines("NAK\n", "\x01"+pack, "0000")},
		"one acknowledgement":               {offers: "side-band-64k", in: lines(ack+"\n", "\x01"+pack, "0000")},
		"multi_ack":                         {offers: "multi_ack side-band-64k", in: lines(ack+" continue\n", ack+" continue\n", ack+"\n", "\x01"+pack, "0000")},
		"multi_ack_detailed":                {offers: "multi_ack_detailed side-band-64k", in: lines(ack+" common\n", ack+" ready\n", "NAK\n", ack+"\n", "\x02x", "\x01"+pack, "0000")},
		"without side-band":                 {offers: "multi_ack", in: lines(ack+" continue\n", ack+"\n") + pack},
		"an error":                          {offers: "side-band-64k", in: lines("ERR upload-pack: not our ref " + idA.String()), fails: "not our ref"},
		"anything else":                     {offers: "side-band-64k", in: lines("hello"), fails: "before the pack"},
		"nothing":                           {offers: "multi_ack", fails: "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			a := Advertisement{Version: c.version, Capabilities: make(Capabilities)}
			for _, offered := range strings.Fields(c.offers) {
				a.Capabilities.add([]byte(offered))
			}
			var got []byte
			in, err := NewReader(strings.NewReader(c.in)).ReadPack(a)
			if err == nil {
				got, err = io.ReadAll(in)
			}
			switch {
			case c.fails == "" && (err != nil || string(got) != pack):
				t.Errorf("got %q, %v", got, err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("got %v, want %s", err, c.fails)
			}
		})
	}
}

func TestFetchesOfferMultiAck(t *testing.T) {
	for offers, want := range map[string]string{
		"multi_ack side-band ofs-delta thin-pack":                                    "multi_ack side-band",
		"multi_ack multi_ack_detailed side-band side-band-64k ofs-delta no-progress": "multi_ack_detailed side-band-64k no-progress",
	} {
		a := Advertisement{Capabilities: make(Capabilities)}
		for _, offered := range strings.Fields(offers) {
			a.Capabilities.add([]byte(offered))
		}
		got := string(FetchRequest(a, []object.Hash{idA, idB}, []object.Hash{idB}))
		first, rest, _ := strings.Cut(got, "\n")
		for word := range strings.FieldsSeq(want) {
			if !strings.Contains(first+" ", " "+word+" ") {
				t.Errorf("%q lacks %s", first, word)
			}
		}
		if strings.Contains(first, "thin-pack") || strings.Contains(first, "multi_ack ") && strings.Contains(first, "multi_ack_detailed") {
			t.Errorf("%q asks for too much", first)
		}
		if want := lines("want "+idB.String()+"\n", "0000", "have "+idB.String()+"\n", "done\n"); rest != want {
			t.Errorf("got %q, want %q", rest, want)
		}
	}
}

func TestReportsOfAPush(t *testing.T) {
	updates := []Update{{Ref: "refs/heads/a", New: idA}, {Ref: "refs/heads/b", New: idA}}
	bare := lines("unpack ok\n", "ok refs/heads/a\n", "ng refs/heads/b pre-receive hook declined\n", "0000")
	want := Report{Unpack: "ok", Refused: map[string]string{"refs/heads/b": "pre-receive hook declined"}}
	got, err := NewReader(strings.NewReader(bare)).ReadReport(nil, updates)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	banded := Capabilities{"side-band-64k": ""}
	in := lines("\x02no, \n", "\x01"+bare[:10], "\x02never\n", "\x01"+bare[10:], "0000")
	want.Words = "no, \nnever\n"
	got, err = NewReader(strings.NewReader(in)).ReadReport(banded, updates)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for name, in := range map[string]string{
		"of one of them":    lines("unpack ok", "ok refs/heads/a", "0000"),
		"that ends":         lines("unpack ok", "ok refs/heads/a", "ok refs/heads/b"),
		"of another kind":   lines("ok refs/heads/a", "0000"),
		"with a stray line": lines("unpack ok", "ok refs/heads/a", "ok refs/heads/b", "hm", "0000"),
		"that is none":      "",
	} {
		if _, err := NewReader(strings.NewReader(in)).ReadReport(nil, updates); err == nil {
			t.Errorf("a report %s is taken", name)
		}
	}
	_, err = NewReader(strings.NewReader(lines("\x02words", "\x03fatal: disk full\n"))).ReadReport(banded, updates)
	if says, ok := errors.AsType[*ServerError](err); !ok || says.Words != "fatal: disk full\n" {
		t.Errorf("got %v", err)
	}
}

func TestPushesAskForWhatTheyNeed(t *testing.T) {
	all := Capabilities{"report-status": "", "delete-refs": "", "atomic": "", "side-band-64k": "", "quiet": "", "agent": "x", "push-options": ""}
	one := []Update{{Ref: "refs/heads/a", Old: idA, New: idB}}
	got, err := PushRequest(all, one)
	want := lines(fmt.Sprintf("%s %s refs/heads/a\x00 report-status side-band-64k quiet agent=git/secretsync", idA, idB), "0000")
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	for lacks, updates := range map[string][]Update{
		"report-status": one, "delete-refs": {{Ref: "refs/heads/a", Old: idA}}, "atomic": {one[0], {Ref: "refs/heads/b", New: idA}},
	} {
		some := make(Capabilities)
		for name := range all {
			if name != lacks {
				some[name] = ""
			}
		}
		if _, err := PushRequest(some, updates); err == nil || !strings.Contains(err.Error(), lacks) {
			t.Errorf("without %s: %v", lacks, err)
		}
	}
}

func TestWordsAreFitForATerminal(t *testing.T) {
	for words, want := range map[string]string{
		"\x1b[31;1mred\x1b[0m and\r\n  more\t":        "red and more",
		"\x1b]0;title\x07x":                           "]0;titlex",
		"a\x00b\x7fc\u009bd":                          "abcd",
		"evil \u202egnp.exe\u2066":                    "evil gnp.exe",
		"Ärger, 変更は禁止, 🚫":                             "Ärger, 変更は禁止, 🚫",
		"\xff\xfebad":                                 "bad",
		"\x1b[":                                       "",
		"progress 1%\rprogress 2%\r":                  "progress 1% progress 2%",
		strings.Repeat("x", 2000):                     strings.Repeat("x", maxWords-len("…")) + "…",
		strings.Repeat("ä", maxWords):                 strings.Repeat("ä", (maxWords-len("…"))/2) + "…",
		"trailing " + strings.Repeat(" ", 2*maxWords): "trailing",
	} {
		if got := Clean(words); got != want {
			t.Errorf("Clean(%q) is %q, want %q", words, got, want)
		}
	}
}

func FuzzWhatAServerSays(f *testing.F) {
	f.Add([]byte(lines("version 2\n", "ls-refs=unborn\n", "0000")))
	f.Add([]byte(lines("# service=git-upload-pack\n", "0000", idA.String()+" HEAD\x00side-band-64k symref=HEAD:refs/heads/main", idA.String()+" refs/heads/main\n", "0000")))
	f.Add([]byte(lines("packfile\n", "\x01PACK", "\x02words", "0000")))
	f.Add([]byte(lines("ACK "+idA.String()+" common\n", "NAK\n", "\x01PACK", "0000")))
	f.Add([]byte(lines("\x01"+lines("unpack ok\n", "ng refs/heads/a no\n", "0000"), "0000")))
	f.Add([]byte(lines("unborn HEAD symref-target:refs/heads/x\n", "ERR no")))
	f.Fuzz(func(t *testing.T, in []byte) {
		w := Wanted{Prefixes: []string{"refs/heads/"}, MaxRefs: 5}
		read := func() *Reader { return NewReader(bytes.NewReader(in)) }
		a, err := read().ReadAdvertisement(w)
		if err == nil && len(a.Refs.Hashes) > 5 {
			t.Errorf("%d references were kept", len(a.Refs.Hashes))
		}
		refs, err := read().ReadRefs(w)
		if err == nil && refs.Empty && len(refs.Hashes) > 0 {
			t.Error("an empty repository with references")
		}
		for _, a := range []Advertisement{{Version: V2}, {Capabilities: Capabilities{"side-band-64k": ""}}, {}} {
			if pack, err := read().ReadPack(a); err == nil {
				if n, _ := io.Copy(io.Discard, pack); n > int64(len(in)) {
					t.Errorf("a pack of %d bytes in %d", n, len(in))
				}
			}
			report, err := read().ReadReport(a.Capabilities, []Update{{Ref: "refs/heads/a", New: idA}})
			if len(report.Words) > maxWords || err == nil && len(report.Refused) > 1 {
				t.Errorf("%+v", report)
			}
		}
		if words := Clean(string(in)); len(words) > maxWords || strings.ContainsAny(words, "\x1b\n\r\x00\u202e") {
			t.Errorf("%q", words)
		}
	})
}
