package compose

import (
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/Masterminds/sprig/v3"

	"secretsync/gitstore/definition"
)

const (
	mostWork  = 64 << 20 // units that the templates of one copy may use together
	costCall  = 256      // of a call, besides its bytes
	mostWidth = 1000     // that printf pads to
)

// budget is the work that is left to the templates of a copy.
type budget struct{ left int }

// exceeded is the error of a template that wants too much.
type exceeded struct{ what string }

func (e *exceeded) Error() string { return e.what }

var (
	errWork = &exceeded{"it takes too long, with the templates before it; loop less, and over less"}
	errText = &exceeded{fmt.Sprintf("it makes a text of over %d bytes", MaxSize)}
)

// take takes units out of the budget.
func (b *budget) take(units int) error {
	if units < 0 || units > b.left {
		b.left = 0
		return errWork
	}
	b.left -= units
	return nil
}

// functions are those of definition.TemplateFunctions, each counted against a
// budget. Go's own that make no text stay Go's own.
func functions(b *budget) template.FuncMap {
	made := map[string]any{
		"print": fmt.Sprint, "println": fmt.Sprintln, "printf": printf,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
		"fromJson": func(text string) (any, error) { return parseJSON([]byte(text)) },
		"toJson":   func(v any) (string, error) { text, err := encodeJSON(v); return string(text), err },
		// Those of sprig give the text of the error as the result.
		"b32dec": func(text string) (string, error) {
			b, err := base32.StdEncoding.DecodeString(text)
			return string(b), err
		},
		"b64dec": func(text string) (string, error) {
			b, err := base64.StdEncoding.DecodeString(text)
			return string(b), err
		},
	}
	own := maps.Clone(made)
	library := sprig.TxtFuncMap()
	for _, name := range definition.TemplateFunctions {
		if f, ok := library[name]; ok && own[name] == nil {
			made[name] = f
		}
	}
	funcs := make(template.FuncMap, len(made))
	for name, f := range made {
		funcs[name] = b.counted(name, f)
	}
	maps.Copy(funcs, b.guards())
	return funcs
}

// guards are the functions that [guard] puts in.
func (b *budget) guards() template.FuncMap {
	return template.FuncMap{
		writtenName: func(v any) (any, error) {
			if v == nil {
				return nil, errNothing
			}
			return v, nil
		},
		rangedName: func(v any) (any, error) {
			if m := reflect.ValueOf(v); m.Kind() == reflect.Map {
				for each := m.MapRange(); each.Next(); {
					if err := b.take(costCall + each.Key().Len()); err != nil {
						return nil, err
					}
				}
			}
			return v, nil
		},
		tickName: func(body int) (string, error) { return "", b.take(costCall + costNode*body) },
		comparedName: func(v any) (any, error) {
			if text := reflect.ValueOf(v); text.Kind() == reflect.String {
				return v, b.take(costNode + text.Len()/costScans)
			}
			return v, b.take(costNode)
		},
	}
}

// printf is fmt's, which writes of a verb that does not go with what is there, or that
// there is nothing for, and can't fail. Whether one goes with it is asked of other texts
// of the same types: a password may end in %, and may hold what fmt writes of a mistake.
func printf(format string, args ...any) (string, error) {
	const mistake = "%!"
	text := fmt.Sprintf(format, args...)
	if !strings.Contains(text, mistake) {
		return text, nil
	}
	blank := slices.Clone(args)
	for i, arg := range blank {
		if _, is := arg.(string); is {
			blank[i] = "x"
		}
	}
	if strings.Contains(fmt.Sprintf(format, blank...), mistake) && !strings.Contains(format+fmt.Sprint(blank...), mistake) {
		return "", &exceeded{"function printf has verbs that don't go with what it is given, or more or fewer of them"}
	}
	return text, nil
}

// writers are the functions that would make a text such as <nil> of nothing, or leave it
// out without a word.
var writers = []string{"cat", "html", "join", "js", "print", "printf", "println", "quote", "squote", "toString", "urlquery"}

// givenNothing says that a function which writes what it is given is given nothing.
func givenNothing(name string, args []any) error {
	if !slices.Contains(writers, name) {
		return nil
	}
	for _, arg := range args {
		list, _ := arg.([]any)
		if arg == nil || slices.Contains(list, nil) {
			return &exceeded{"function " + name + " is given nothing: the value has null there, or no such key; give it a default"}
		}
	}
	return nil
}

var errorType = reflect.TypeFor[error]()

// counted is a function of the same type, with an error if it had none, that takes
// what it costs out of the budget.
func (b *budget) counted(name string, f any) any {
	inner := reflect.ValueOf(f)
	t := inner.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	result := t.Out(0)
	outer := reflect.FuncOf(in, []reflect.Type{result, errorType}, t.IsVariadic())
	fail := func(err error) []reflect.Value {
		return []reflect.Value{reflect.Zero(result), reflect.ValueOf(&err).Elem()}
	}
	grows := growth[name]
	return reflect.MakeFunc(outer, func(args []reflect.Value) []reflect.Value {
		if err := b.take(costCall); err != nil {
			return fail(err)
		}
		given, err := b.sizes(args, t.IsVariadic())
		if err == nil {
			err = givenNothing(name, plain(args, t.IsVariadic()))
		}
		if err == nil && grows != nil {
			err = b.grow(grows(plain(args, t.IsVariadic()), given))
		}
		if err == nil && name == "trimAll" {
			err = b.take(scanned(args[0].String(), args[1].String()))
		}
		if err != nil {
			return fail(err)
		}
		call := inner.Call
		if t.IsVariadic() {
			call = inner.CallSlice
		}
		out := call(args)
		if len(out) == 2 && !out[1].IsNil() {
			if failed, ok := out[1].Interface().(*exceeded); ok {
				return fail(failed)
			}
			return fail(errors.New("it fails"))
		}
		size, err := b.size(out[0], 0)
		if err == nil && size > MaxSize {
			err = errText
		}
		if err != nil {
			return fail(err)
		}
		return []reflect.Value{out[0], reflect.Zero(errorType)}
	}).Interface()
}

// grow refuses a text before it is made.
func (b *budget) grow(size int, err error) error {
	switch {
	case err != nil:
		return err
	case size < 0 || size > MaxSize:
		return errText
	}
	return b.take(size)
}

// sizes adds up what a call is given, and takes it out of the budget.
func (b *budget) sizes(args []reflect.Value, variadic bool) (sum int, err error) {
	for i, arg := range args {
		parts := []reflect.Value{arg}
		if variadic && i == len(args)-1 {
			parts = parts[:0]
			for j := range arg.Len() {
				parts = append(parts, arg.Index(j))
			}
		}
		for _, part := range parts {
			n, err := b.size(part, 0)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

const deepest = 10000 // that a list or dictionary may be nested, as JSON's reader has it

// size is how many bytes a value would make as a text, roughly, and takes them out
// of the budget: a dictionary that holds one other twice, and that another, is
// small in memory and without end as a text.
func (b *budget) size(v reflect.Value, depth int) (n int, err error) {
	if depth > deepest {
		return 0, errWork
	}
	if err := b.take(8); err != nil {
		return 0, err
	}
	add := func(inner reflect.Value) error {
		m, err := b.size(inner, depth+1)
		n += m
		return err
	}
	switch v.Kind() {
	case reflect.String:
		n = v.Len()
		return n, b.take(n)
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return 8, nil
		}
		return b.size(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := add(v.Index(i)); err != nil {
				return n, err
			}
		}
	case reflect.Map:
		for each := v.MapRange(); each.Next(); {
			if err := add(each.Key()); err != nil {
				return n, err
			}
			if err := add(each.Value()); err != nil {
				return n, err
			}
		}
	}
	return n + 8, nil
}

// plain are the arguments as values, with those at the end one by one.
func plain(args []reflect.Value, variadic bool) []any {
	var all []any
	for i, arg := range args {
		if variadic && i == len(args)-1 {
			for j := range arg.Len() {
				all = append(all, arg.Index(j).Interface())
			}
			continue
		}
		all = append(all, arg.Interface())
	}
	return all
}

// growth estimates the length of what functions make that can make much of little.
// given is the length of all arguments.
var growth = map[string]func(args []any, given int) (int, error){
	"repeat": func(args []any, _ int) (int, error) {
		text, _ := args[1].(string)
		return product(number(args[0]), len(text))
	},
	"indent":  indented,
	"nindent": indented,
	"replace": func(args []any, given int) (int, error) {
		old, with, src := fmt.Sprint(args[0]), fmt.Sprint(args[1]), fmt.Sprint(args[2])
		n, err := product(strings.Count(src, old), len(with))
		return n + given, err
	},
	"join": func(args []any, given int) (int, error) {
		items := 1
		if list := reflect.ValueOf(args[1]); list.Kind() == reflect.Slice {
			items = list.Len()
		}
		n, err := product(items, len(fmt.Sprint(args[0])))
		return n + given, err
	},
	"printf": func(args []any, given int) (int, error) {
		format, _ := args[0].(string)
		padding, err := widths(format)
		if err != nil {
			return 0, err
		}
		times := 1
		if strings.Contains(format, "[") { // each verb may name any argument, and all the same one
			times = max(1, strings.Count(format, "%"))
		}
		n, err := product(times, given*8)
		return padding + n, err
	},
}

// scanned is what it costs to look for each character of a text among those of a set: one
// that is not of ASCII is looked for anew each time.
func scanned(set, text string) int {
	if strings.IndexFunc(set, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return 0
	}
	return utf8.RuneCountInString(text) * (len(set) / costScans)
}

func indented(args []any, given int) (int, error) {
	text, _ := args[1].(string)
	n, err := product(strings.Count(text, "\n")+2, number(args[0]))
	return n + given, err
}

func number(v any) int {
	n, _ := v.(int)
	return n
}

// product multiplies two lengths; one that is negative is an error, since the
// library's functions panic.
func product(a, b int) (int, error) {
	switch {
	case a < 0 || b < 0:
		return 0, errors.New("a length is negative")
	case b > 0 && a > MaxSize/b:
		return 0, errText
	}
	return a * b, nil
}

// widths adds up what a format pads to.
func widths(format string) (sum int, err error) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		for i++; i < len(format) && strings.IndexByte("+-# 0.[]", format[i]) >= 0 || i < len(format) && format[i] >= '1' && format[i] <= '9' || i < len(format) && format[i] == '*'; i++ {
			if format[i] == '*' {
				return 0, &exceeded{"printf takes no width from an argument (*) here"}
			}
			end := i
			for end < len(format) && format[end] >= '0' && format[end] <= '9' {
				end++
			}
			if end == i {
				continue
			}
			n, err := strconv.Atoi(format[i:end])
			if err != nil || n > mostWidth {
				return 0, &exceeded{fmt.Sprintf("printf pads to %d at most", mostWidth)}
			}
			sum += n
			i = end - 1
		}
	}
	return sum, nil
}
