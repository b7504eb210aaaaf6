// Package train teaches a denoising network from pictures, the way of Karras et al., "Elucidating the Design Space of
// Diffusion-Based Generative Models" (EDM, arXiv 2206.00364).
//
// # Vocabulary
//
// A training image y (floats in [-1, 1]) gets noise of level sigma, drawn anew each time from a log-normal density; the
// network D sees x = y + sigma·n and is asked for y back. The loss of one image is Σ w(sigma)·(D(x; sigma) − y)² with
// w = (sigma² + sd²)/(sigma·sd)², sd being sigma_data (EDM eq. 2 and table 1). As in EDM's code that is a SUM over the
// elements of an image, divided by the batch size: a mean over the pictures, not over the pixels.
//
// That is the default [Objective]. Another one draws sigma from another distribution, lets the network return v, the noise or the picture, weighs by
// another function of sigma, or counts errors by their size in the picture ([Loss]: the multi-scale loss of simple diffusion,
// arXiv 2301.11093, or k-diffusion's frequencies). Whatever the network returns, the loss is one of the denoised picture D: a plain error of the noise is weight
// 1/sigma², one of v 1 + 1/sigma². With augmentation y is a distorted picture and the network is told how it was distorted ([Augmentation]).
//
// A step is one batch and one update of the weights by Adam. A batch is cut into microbatches that run in parallel and whose
// gradients are added. Beside the weights runs their exponential moving average (EMA), which is what one samples from.
// Progress is counted in images shown, never in steps or epochs, and so are the learning rate's ramp and the EMA's half-life.
//
// # Randomness
//
// Training image number k (counted over the whole run) draws its noise level, noise, mirroring, augmentation and class dropout from
// streams keyed by (seed, purpose, k), and the order of the pictures is a permutation keyed by (seed, epoch). Nothing else
// is random, so a run is a function of its options, the pictures and the initial weights: it does not depend on the
// number of threads, and an interrupted run goes on from its last checkpoint to the same bytes as if it had never stopped.
//
// # Where to start
//
// Options holds every knob. Trainer is the bare loop: Step after Step, no files. Start and Resume wrap it in a Run: a
// locked folder with options.json, stats.jsonl, log.txt, an atomically replaced checkpoint and, if the Job measures its pictures,
// metrics.jsonl, with held-out pictures validation.jsonl, and an event file for TensorBoard on request. Optimizer, EDMLoss, EMABeta are the parts that other training loops share. The package knows no network: Network is all it asks of one; the example of Trainer makes a unet.Denoiser one.
package train
