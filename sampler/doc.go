// Package sampler turns noise into pictures: solvers of the probability-flow equation and its stochastic
// relatives, over any denoiser. It imports nothing of this module and knows no tensors.
//
// # Vocabulary
//
// sigma is the noise level of x = y + sigma*n (EDM's convention, arXiv 2206.00364); a variance preserving state
// is x/sqrt(1+sigma²). D(x; sigma) is a [Denoiser]'s estimate of the clean picture behind x, and
// d = (x - D)/sigma is the slope dx/dsigma of the probability flow (EDM eq. 1 and 3). States are float64 and flat:
// a batch of pictures one after the other. Every solver treats the numbers one by one, so a picture does not
// depend on its neighbours in the batch; only [DPMAdaptive] looks at all of them to choose its steps.
//
// sigmas is a decreasing list; sigmas[0] is the level of the starting state x, which is unit noise times
// sigmas[0]. n+1 levels make n steps. The last level is usually 0; a list that ends above 0 leaves that much
// noise in the result. [Validate] checks a list.
//
// # Use
//
//	for s := range sampler.Heun(denoise, x, sigmas, sampler.DefaultOptions()) {
//		result = s.X // copy it to keep it: the buffer is reused by the next step
//	}
//
// A loop may print progress, save frames, check a context, or break. [Lookup] finds a solver by the names that
// other tools give it; [All] is the whole table. [Counted], [Guider], [StaticThreshold] and [DynamicThreshold] wrap denoisers. [GMM] is a denoiser
// with a closed form, to measure solvers against. [BatchNoise] gives each picture its own stream of random numbers, [BrownianNoise] its own
// path, which does not depend on the number of steps; [TorchNoise] and [TorchCUDANoise] are streams that PyTorch would give it.
package sampler
