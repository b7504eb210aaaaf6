// Package zoo holds the models that travel inside the program, so that the first picture needs no download.
//
// Each model is one safetensors file under models/, embedded at build time, with a model card (NAME.md) beside it that says what it
// was trained on, for how long and under which licence. An [Entry] pairs a file with the settings it is sampled with unless the
// user says otherwise; two entries may share a file, as "fashion" and "fashion-student" do.
//
// Under features/ lies the classifier whose features measure pictures of clothes ([FashionFeatures]), with a card of its own.
//
// To add a model: put NAME.safetensors and NAME.md under models/ and a line into [Entries].
package zoo

import (
	"embed"
	"fmt"
)

//go:embed models features
var files embed.FS

// An Entry is an embedded model and its default sampling settings, spelled as the flags of "diffuse sample". The noise levels that they stand
// for are those of [diffuse/unet.Sampling].
type Entry struct {
	Title    string  // one line for lists and help texts
	File     string  // the file under models/
	Sampler  string  // a name that package sampler knows
	Steps    int     // solver steps
	SigmaMin float64 // the lowest noise level above 0
	SigmaMax float64 // the level where sampling starts
	Rho      float64 // the Karras grid's exponent (EDM eq. 5)
	Few      bool    // a student of few evaluations: SigmaMin only places the levels above it
	Skip     string  // skip weights as --skip spells them, "" for none
}

// Default is the entry that "diffuse sample" uses without a model argument.
const Default = "fashion"

// Entries lists the embedded models by name.
func Entries() map[string]Entry {
	return map[string]Entry{
		"fashion": {
			Title: "28x28 grey clothes in ten classes, one step", File: "fashion-student.safetensors",
			Sampler: "consistency", Steps: 1, SigmaMin: 0.002, SigmaMax: 2.5, Rho: 7, Few: true,
		},
		"fashion-teacher": {
			Title: "28x28 grey clothes in ten classes, many steps", File: "fashion-teacher.safetensors",
			Sampler: "heun", Steps: 18, SigmaMin: 0.002, SigmaMax: 80, Rho: 7,
		},
		"fashion-student": {
			Title: "the same as fashion", File: "fashion-student.safetensors",
			Sampler: "consistency", Steps: 1, SigmaMin: 0.002, SigmaMax: 2.5, Rho: 7, Few: true,
		},
	}
}

// Read returns the bytes of the entry's safetensors file. They are a copy; the error says if the program was built without it.
func (e Entry) Read() ([]byte, error) {
	b, err := files.ReadFile("models/" + e.File)
	if err != nil {
		return nil, fmt.Errorf("this program was built without the model file %s", e.File)
	}
	return b, nil
}

// FashionFeatures returns the safetensors file of the classifier for 28x28 grey clothes that package metric reads. It is a copy.
func FashionFeatures() ([]byte, error) {
	b, err := files.ReadFile("features/fashion.safetensors")
	if err != nil {
		return nil, fmt.Errorf("this program was built without the fashion features: %w", err)
	}
	return b, nil
}
