package config

import (
	"reflect"
)

// Changed lists the settings that two configurations have different values for, as keys of the file, in the order of
// the fields.
func Changed(a, b Config) []string { return changed("", reflect.ValueOf(a), reflect.ValueOf(b)) }

func changed(group string, a, b reflect.Value) (keys []string) {
	for i := range a.NumField() {
		key := a.Type().Field(i).Tag.Get("mapstructure")
		switch {
		case key == "-":
		case group == "" && a.Field(i).Kind() == reflect.Struct && isGroup(a.Field(i).Type()):
			keys = append(keys, changed(key+".", a.Field(i), b.Field(i))...)
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			keys = append(keys, group+key)
		}
	}
	return keys
}

func isGroup(t reflect.Type) bool {
	return t == reflect.TypeFor[Log]() || t == reflect.TypeFor[Probe]() || t == reflect.TypeFor[Select]()
}
