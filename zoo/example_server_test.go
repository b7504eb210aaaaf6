package zoo_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/sampler"
	"diffuse/unet"
	"diffuse/zoo"
)

// A generator draws pictures for a web service: one network for all requests, which may come at once.
type generator struct {
	model *unet.Model
	sigma float64 // noise level that the one step starts from
}

func openModel(e zoo.Entry) (*unet.Model, error) {
	data, err := e.Read()
	if err != nil {
		return nil, err
	}
	file, err := checkpoint.OpenBytes(data)
	if err != nil {
		return nil, err
	}
	return unet.ReadModel(file)
}

func newGenerator(name string) (*generator, error) {
	entry, ok := zoo.Entries()[name]
	if !ok {
		return nil, fmt.Errorf("no embedded model %q", name)
	}
	model, err := openModel(entry)
	if err != nil {
		return nil, err
	}
	model.Net = model.Net.Packed() // only draws from here on
	return &generator{model, entry.SigmaMax}, nil
}

// ServeHTTP answers ?class=7&seed=1 with a PNG file.
func (g *generator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	class, err := strconv.Atoi(r.FormValue("class"))
	if err != nil {
		http.Error(w, "class: "+err.Error(), http.StatusBadRequest)
		return
	}
	seed, err := strconv.ParseUint(r.FormValue("seed"), 10, 64)
	if err != nil {
		http.Error(w, "seed: "+err.Error(), http.StatusBadRequest)
		return
	}
	d, err := g.model.Denoiser([]int{class})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	height, width := d.Size()
	x := make([]float64, d.InChannels*height*width)
	sampler.BatchNoise([]uint64{seed}, len(x), "latent")(x)
	for i := range x {
		x[i] *= g.sigma
	}
	d.At(x, x, g.sigma)
	w.Header().Set("Content-Type", "image/png")
	if err := imageio.EncodePNG(w, imageio.FromPlanes(x, d.InChannels, height, width), map[string]string{"seed": strconv.FormatUint(seed, 10)}); err != nil {
		log.Print(err) // the client has gone
	}
}

// A web service draws clothes in one step.
func Example_server() {
	handler, err := newGenerator(zoo.Default)
	if err != nil {
		log.Fatal(err)
	}
	for _, query := range []string{"class=7&seed=1", "class=10&seed=1"} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", "/?"+query, nil))
		fmt.Println(query, answer.Code, answer.Header().Get("Content-Type"))
	}
	// Output:
	// class=7&seed=1 200 image/png
	// class=10&seed=1 400 text/plain; charset=utf-8
}
