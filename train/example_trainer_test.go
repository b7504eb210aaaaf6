package train_test

import (
	"fmt"
	"log"
	"math/rand/v2"

	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
)

// A learner is a unet.Denoiser as training sees it.
type learner struct{ unet.Denoiser }

func (l learner) Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor {
	return l.Denoiser.Denoise(t, x, sigma, unet.Inputs{Labels: labels, Dropout: dropout})
}

// squares is a data set of one's own: grey pictures of 7×5 with one bright square.
type squares struct{}

func (squares) Len() int             { return 24 }
func (squares) Size() (h, w, c int)  { return 7, 5, 1 }
func (squares) Labels() int          { return 0 }
func (squares) ClassNames() []string { return nil }
func (squares) Get(i int, dst []uint8) (int, error) {
	clear(dst)
	y, x := i/4, i%4
	for _, at := range []int{y*5 + x, y*5 + x + 1, (y+1)*5 + x, (y+1)*5 + x + 1} {
		dst[at] = 255
	}
	return -1, nil
}

// Training without files: a small network learns from pictures that the program makes itself. [train.Start] does the same in a folder, with
// checkpoints and statistics.
func ExampleTrainer() {
	c := unet.DefaultConfig("song")
	c.Resolution, c.InChannels, c.OutChannels = 7, 1, 1
	c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 16, []int{1}, 1, nil
	net, err := unet.New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		log.Fatal(err)
	}
	o := train.DefaultOptions()
	o.Batch, o.Duration, o.LR, o.LRRampup, o.EMAHalfLife = 16, 1600, 2e-3, 0, 200
	precond := schedule.EDM(o.SigmaData)
	average := net.Clone() // what one samples from
	trainer, err := train.NewTrainer(o, learner{unet.Denoiser{Net: net, Precond: precond}}, learner{unet.Denoiser{Net: average, Precond: precond}}, squares{})
	if err != nil {
		log.Fatal(err)
	}
	var first, last float64
	for trainer.Images < o.Duration {
		step, err := trainer.Step()
		if err != nil {
			log.Fatal(err)
		}
		if trainer.Images <= 160 {
			first += step.Loss
		} else if trainer.Images > o.Duration-160 {
			last += step.Loss
		}
	}
	fmt.Println(trainer.Images, "pictures; the loss has halved:", last < first/2)
	// Output: 1600 pictures; the loss has halved: true
}
