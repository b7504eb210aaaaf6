package main

import "testing"

// TestOtherNames: what other programs call a flag leads to one that some command has, and hides none of ours.
func TestOtherNames(t *testing.T) {
	root := rootCommand(&ui{})
	all := root.Commands()
	for _, c := range root.Commands() {
		all = append(all, c.Commands()...)
	}
	for name, ours := range otherNames {
		for _, want := range ours {
			found := false
			for _, c := range all {
				c.InheritedFlags() // which cobra adds to Flags
				found = found || c.Flags().Lookup(want) != nil
			}
			if !found {
				t.Errorf("%s stands for --%s, which no command has", name, want)
			}
		}
	}
	sample, _, err := root.Find([]string{"sample"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"guidance-scale": "guidance", "num-inference-steps": "steps", "prompt": "class", "stepz": "steps", "qqqqqqq": ""} {
		if got := meantFlag(sample.Flags(), name); got != want {
			t.Errorf("--%s: %q, want %q", name, got, want)
		}
	}
}
