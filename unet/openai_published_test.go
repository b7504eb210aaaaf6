package unet

import "testing"

// TestPublishedOpenAI: the published networks are found by their shapes, and have as many tensors and parameters as OpenAI's own programs make
// (each attention counts two tensors there and six here).
func TestPublishedOpenAI(t *testing.T) {
	guided256 := openAIShape{3, 6, 256, 1024, 0, 2, []int{256, 256, 512, 512, 1024, 1024}, []bool{false, false, false, true, true, true}, true, true}
	with := func(s openAIShape, change func(*openAIShape)) openAIShape { change(&s); return s }
	guided64 := openAIShape{3, 6, 192, 768, 1000, 3, []int{192, 384, 576, 768}, []bool{false, true, true, true}, true, true}
	improved64 := openAIShape{3, 6, 128, 512, 0, 3, []int{128, 256, 384, 512}, []bool{false, false, true, true}, true, false}
	for name, want := range map[string]struct {
		shape           openAIShape
		tensors, params int
	}{
		"guided-imagenet64": {guided64, 541, 295904454},
		"guided-imagenet128": {openAIShape{3, 6, 256, 1024, 1000, 2, []int{256, 256, 512, 768, 1024}, []bool{false, false, true, true, true}, true, true},
			493, 421529606},
		"guided-imagenet256":     {with(guided256, func(s *openAIShape) { s.classes = 1000 }), 567, 553838086},
		"guided-uncond256":       {guided256, 566, 552814086},
		"consistency-imagenet64": {with(guided64, func(s *openAIShape) { s.out = 3 }), 541, 295899267},
		"consistency-lsun256":    {with(guided256, func(s *openAIShape) { s.out, s.adaptive = 3, false }), 566, 526304771},
		"improved-cifar10":       {openAIShape{3, 6, 128, 512, 0, 3, []int{128, 256, 256, 256}, []bool{false, true, true, false}, true, false}, 446, 52546438},
		"improved-imagenet64":    {improved64, 450, 121063942},
		"improved-imagenet64-cond": {with(improved64, func(s *openAIShape) {
			s.channels, s.embedding, s.classes, s.widths = 192, 768, 1000, []int{192, 384, 576, 768}
		}), 451, 273049350},
		"improved-lsun256": {openAIShape{3, 6, 128, 512, 0, 2, []int{128, 128, 256, 256, 512, 512}, []bool{false, false, false, false, true, false}, false, false},
			426, 113676678},
	} {
		if got := openAIPublished[name].shapes; got != want.shape.String() {
			t.Errorf("%s: listed %s\nwant %s", name, got, want.shape)
		}
		flags, err := parseOpenAIFlags(openAIPublished[name].flags)
		if err != nil {
			t.Fatal(err)
		}
		c, err := want.shape.config(flags)
		if err != nil {
			t.Fatal(err)
		}
		tensors, params := Count(c)
		if tensors != want.tensors || params != want.params {
			t.Errorf("%s: %d tensors of %d values, want %d of %d", name, tensors, params, want.tensors, want.params)
		}
	}
}
