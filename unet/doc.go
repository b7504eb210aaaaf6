// Package unet holds the networks: EDM's SongUNet (DDPM++ and NCSN++) and
// ADM (DhariwalUNet), the U-ViT of Simple diffusion, diffusers' UNet2DModel,
// their preconditioning, and the model file.
//
// One [Config] describes a network, one [Net.Forward] walks it. The names of
// parameters and levels are those of EDM's reference implementation (Karras
// et al. 2022, arXiv 2206.00364), without its leading "model.": a level is
// called after its resolution, "enc.16x16_block0.conv0.weight". A UNet2DModel
// ([UNet2D], built in unet2d_build.go) has names of that kind too, and keeps
// the library's for its files.
//
// A [Denoiser] is a network with its preconditioning,
// D(x;σ) = c_skip·x + c_out·F(c_in·x; c_noise) (EDM eq. 7): what a sampler
// calls. [Net.WithSkips] returns a network whose skip connections are scaled
// just before concatenation (Skip-Tuning, Ma et al. 2024), and
// [Net.WithSkipRule] one whose scales depend on the noise level; both share
// the weights.
//
// A [Model] is what a file holds: the network, its preconditioning, class
// names and how it was trained, in one .safetensors file.
//
// Start at net.go; block.go holds the residual block, uvit.go the transformer
// block, attention.go how its pixels attend to one another, layout.go which
// blocks and skips there are, init.go the initial weights.
package unet
