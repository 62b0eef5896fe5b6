package main

import (
	"reflect"

	"go.yaml.in/yaml/v3"
)

// changedYAML is the keys of cfg whose values differ from the default's.
func changedYAML(cfg, byDefault any) ([]byte, error) {
	is, err := asMap(cfg)
	if err != nil {
		return nil, err
	}
	was, err := asMap(byDefault)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(changed(is, was))
}

func asMap(cfg any) (out map[string]any, err error) {
	b, err := yaml.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	return out, yaml.Unmarshal(b, &out)
}

func changed(is, was map[string]any) map[string]any {
	out := make(map[string]any)
	for key, v := range is {
		inner, isMap := v.(map[string]any)
		before, wasMap := was[key].(map[string]any)
		switch {
		case isMap && wasMap:
			if c := changed(inner, before); len(c) > 0 {
				out[key] = c
			}
		case !reflect.DeepEqual(v, was[key]):
			out[key] = v
		}
	}
	return out
}
