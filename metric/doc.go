// Package metric measures how close generated pictures are to real ones.
//
// # Vocabulary
//
// A feature row is what a feature network makes of one picture; a set of pictures becomes an n×d matrix of them, row by row in
// one flat slice ([Features]). Statistics are the mean and the unbiased covariance of such a set ([Gaussian]). Sums are taken in
// float64 throughout.
//
// The Fréchet distance of two Gaussians is the "FID" if, and only if, the features are those of the Inception network of 2015
// (Heusel et al. 2017, arXiv 1706.08500); over other features this package calls it by another name, so that nobody compares
// numbers that cannot be compared.
package metric
