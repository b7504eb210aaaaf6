// Package report turns the folders of runs into one HTML page that needs nothing else: no network, no fonts, no scripts but its own.
//
// A run folder is what "diffuse train" and "diffuse distill" write. Read takes what it finds there and is content with little, because a
// run may be going on, may have been killed in the middle of a line, or may come from an older program:
//
//	options.json      everything the run was started with, shown as a table whatever its fields are
//	stats.jsonl       a line a tick; every number in it becomes a curve over "nimg" (or "images"), names in statKinds get titles
//	validation.jsonl  the loss on pictures kept aside, in all and by noise level
//	metrics.jsonl     distances to real pictures and their like, measured as the run went on
//	eval.jsonl        the same, measured later by "diffuse eval"
//	sessions.jsonl    the programs and machines that worked on the run
//	pictures-*.png    grids drawn as the run went on, embedded as they are
//	log.txt           its end is shown
//
// New combines runs into a Report: charts with one line per run, and tables with one column per run. A Report is also what --json prints.
// Report.Write makes the page: Go draws every chart as a plain SVG, which is what shows without JavaScript and to a printer, and page.js draws
// them anew with zoom, read-outs and smoothing. All text from run folders goes through html/template, and the page's security policy admits no
// script but the one whose hash it holds.
//
// Start reading at Read, then New, then Write.
package report
