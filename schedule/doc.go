// Package schedule holds the scalar mathematics of diffusion: how noisy an image is at each step, how a
// network's input and output are scaled at a given noise level, and which noise levels are drawn in training.
// It knows no tensors and imports nothing of this module.
//
// # Vocabulary
//
// sigma is always the noise level of x = y + sigma*n with unit normal n ("variance exploding", EDM's
// convention, Karras et al. 2022, arXiv 2206.00364). A variance preserving state is the same state divided by
// sqrt(1+sigma^2), so one sigma serves every model family.
//
// logsnr is ln(alpha^2/sigma_vp^2) = -2 ln sigma; [Sigma] and [AlphaSigma] convert it.
//
// t is the time of a logSNR schedule. t = 0 is the CLEAN end and t = 1 the noisy end, as in simple diffusion
// (Hoogeboom et al. 2023, arXiv 2301.11093); logsnr falls as t grows. It is also the time of a [Curve], 0 at the
// clean end as well.
//
// A grid is a plain []float64 of decreasing noise levels: n levels for n steps, followed by one 0. Cut the 0
// off to stop above it.
//
// A table is a schedule of whole timesteps, 0 being the cleanest ([Table]); a [Discrete] is a way through one.
//
// # Where to start
//
// [Karras] is EDM's grid and the usual choice. [Lookup] turns what a user types ("karras", "cosine:shift=64@256",
// "linear:spacing=trailing") into a [Schedule], [Parse] into its [Grid] alone; docs/schedules.md has the table of all names. [EDM],
// [VP], [VE] and [IDDPM] are the four preconditionings of the EDM paper, table 1, [V], [Eps] and [X0] those of networks that are said to predict
// v, the noise or the picture; [PrecondByName] finds one by name. [Cosine] is the
// family of simple-diffusion schedules. [Curve] is EDM's other view of a schedule, sigma(t) and s(t) in a time of its own; with
// [Discretizations] it makes the samplers that EDM's ablation compares. A [Density] is a distribution of noise levels to train on, a
// [Weight] the weight of a training error; [LogNormal] and [EDMWeight] are EDM's, [ParseDensity] and [ParseWeight] find others by name.
package schedule
