package reconcile

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"secretsync/reconcile/cleanup"
)

// fill sets everything in a value to what is not its zero value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(7)
	default:
		panic(fmt.Sprintf("say how a %s is filled", v.Kind()))
	}
}

// notTerms are the fields of a tenant that are not compared as its terms: who it is,
// what can't be compared, and the grants, which are compared by themselves.
var notTerms = map[string]bool{"Name": true, "Repository": true, "May": true, "Clusters": true}

func TestTermsDifferByEachFieldOfATenant(t *testing.T) {
	plain := termsOf(Config{}, Tenant{}, 1)
	for f := range reflect.TypeFor[Tenant]().Fields() {
		if notTerms[f.Name] {
			continue
		}
		var spec Tenant
		fill(reflect.ValueOf(&spec).Elem().FieldByIndex(f.Index))
		if reflect.DeepEqual(plain, termsOf(Config{}, spec, 1)) {
			t.Errorf("a tenant with another %s is taken for the same", f.Name)
		}
	}
	for name, cfg := range map[string]Config{
		"poll interval":          {PollInterval: time.Hour},
		"least refresh interval": {MinRefreshInterval: time.Hour},
		"brake":                  {Brake: &cleanup.Brake{Copies: 99}},
		"selected namespaces":    {SelectedNamespaces: 99},
	} {
		if reflect.DeepEqual(plain, termsOf(cfg, Tenant{}, 1)) {
			t.Errorf("another %s of all is taken for the same", name)
		}
	}
	if reflect.DeepEqual(plain, termsOf(Config{}, Tenant{}, 2)) {
		t.Error("another number of reads at once is taken for the same")
	}
}

func TestTermsInForceShareNoMemoryWithTheConfiguration(t *testing.T) {
	var spec Tenant
	for f := range reflect.TypeFor[Tenant]().Fields() {
		if !notTerms[f.Name] {
			fill(reflect.ValueOf(&spec).Elem().FieldByIndex(f.Index))
		}
	}
	given := termsOf(Config{}, spec, 1)
	kept := given.clone()
	if !reflect.DeepEqual(given, kept) {
		t.Errorf("given %+v, kept %+v", given, kept)
	}
	apart(t, "", reflect.ValueOf(given), reflect.ValueOf(kept))
}

// apart complains of what two equal values share.
func apart(t *testing.T, at string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if !a.IsNil() && a.UnsafePointer() == b.UnsafePointer() {
			t.Errorf("%s is shared", at)
		}
		if a.Kind() == reflect.Pointer && !a.IsNil() {
			apart(t, at, a.Elem(), b.Elem())
		}
	case reflect.Struct:
		for i := range a.NumField() {
			apart(t, at+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
}
