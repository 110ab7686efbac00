package compose

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"

	"secretsync/gitstore/definition"
)

const (
	mostWork  = 64 << 20 // units that one template may use
	costCall  = 256      // of a call, besides its bytes
	mostWidth = 1000     // that printf pads to
)

// budget is the work that is left to a template.
type budget struct{ left int }

// exceeded is the error of a template that wants too much.
type exceeded struct{ what string }

func (e *exceeded) Error() string { return e.what }

var (
	errWork = &exceeded{"it takes too long; loop less, and over less"}
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
		"print": fmt.Sprint, "println": fmt.Sprintln, "printf": fmt.Sprintf,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
		"fromJson": func(text string) (any, error) { return parseJSON([]byte(text)) },
		"toJson":   func(v any) (string, error) { text, err := encodeJSON(v); return string(text), err },
		// The loops' counter is not in the list, so that nobody can write it.
		tickName: func() string { return "" },
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
	return funcs
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
		if err == nil && grows != nil {
			err = b.grow(grows(plain(args, t.IsVariadic()), given))
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
		return padding + given*8, err
	},
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
