// Package distill turns a diffusion model, the teacher, into a generator that makes a picture in one network evaluation, without
// any data unless one wants to: score identity distillation, SiD (Zhou et al., ICML 2024, arXiv 2404.04057).
//
// # Vocabulary
//
// Three networks of one shape start as copies of the teacher. The teacher a(x; sigma) stays as it is. The generator makes
// pictures y = G(sigma_init·z; sigma_init) out of unit noise z: the whole preconditioned denoiser, used once. The fake network
// b(x; sigma), "fake score" in the paper, learns to denoise the generator's pictures, so that it says what the teacher would, had it been
// trained on them. Where both agree at all noise levels, generator and teacher make the same pictures.
//
// A step is one update of the fake network by the denoising loss of EDM on fresh pictures of the generator ([FakeSeed]), several if
// Options.FakeUpdates says so, and one of the generator. Its loss of one picture is
//
//	L = Σ (a − b)·((a − y) − alpha·(a − b)) / w,   w = max(mean |y − a|, 1e-5), a constant
//
// with a and b at y + sigma·n. The gradient runs through y, and through both networks as functions of their input, but not
// into their weights. [GeneratorSeed] has its three closed forms, so that nothing is differentiated twice.
//
// A generator that is not a copy of the teacher, such as a smaller network, learns to draw first: for Options.WarmImages pictures
// it is shown what the teacher's probability flow draws from its noise ([Trainer.WarmUpdate]), while the fake network learns as always.
//
// With real pictures the fake network's encoder is a critic beside, that the generator learns to persuade (Options.Adversarial, [Critic]): SiDA
// (Zhou et al. 2025, arXiv 2410.14919).
//
// Both learning rates may fall to 0 over the last part of a run, as in training; the decay may be added to a run that is on its way
// (see [Resume]).
//
// Progress is counted in pictures that the generator was updated by (SiD's "kimg"), and so is the average's half-life. The average of
// the generator's weights is the student.
//
// # Randomness
//
// Picture number k of a run draws its noise, level, class and dropout from streams keyed by (seed, purpose, k), for the fake
// network's updates and the generator's separately. A run is a function of its options and the teacher: threads do
// not matter, and an interrupted run goes on to the same bytes as if it had never stopped.
//
// # Where to start
//
// Options holds every knob, [Trainer] is the bare loop: Step after Step, no files. [Start] and [Resume] wrap it in a [Run]: a folder, by
// train's loop, with the student measured and a collapse undone.
package distill
