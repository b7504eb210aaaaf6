package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"diffuse/imageio"
)

// The files that describe the pictures of a folder.
const (
	edmLabels = "dataset.json"   // of EDM's and StyleGAN's dataset_tool
	hubLabels = "metadata.jsonl" // of Hugging Face's imagefolder
)

// openTree reads what is in a folder, on disk or in an archive: the files of CIFAR, or pictures.
func openTree(t tree, o Options) (Dataset, error) {
	if l, in := findCIFAR(t); l != nil {
		return openCIFAR(l, func(name string) ([]byte, error) { return in.readFile(name, cifarFile) }, o)
	}
	t, err := t.part(o.Split)
	if err != nil {
		return nil, err
	}
	names, err := t.list(imageio.Extensions())
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w (%s)", errEmpty, strings.Join(imageio.Extensions(), ", "))
	}
	d := &encoded{
		read: o, files: make([]file, len(names)),
		open: func(f *file) (io.ReadCloser, error) { return t.open(f.name) },
		path: func(f *file) string { return t.path(f.name) },
	}
	for i, name := range names {
		d.files[i].name = name
	}
	classes, err := t.classify(d.files)
	if err != nil {
		return nil, err
	}
	return d.prepare(classes)
}

// classify gives every file its label and returns the names of the classes, nil if there are none. A description decides, if
// there is one, else the first folder of the name.
func (t tree) classify(files []file) ([]string, error) {
	for _, description := range []struct {
		name string
		read func([]byte, []file) (classes []string, done bool, err error)
	}{{edmLabels, fromEDM}, {hubLabels, fromHub}} {
		b, err := t.readFile(description.name, maxEncoded)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err // labels that cannot be read are not labels that are not there
		}
		classes, done, err := description.read(b, files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", description.name, err)
		}
		if done {
			return classes, nil
		}
	}
	return fromFolders(files)
}

// fromFolders takes the first folder of a name as the class.
func fromFolders(files []file) ([]string, error) {
	loose, classes := 0, make([]string, len(files))
	for i, f := range files {
		name, _, ok := strings.Cut(f.name, "/")
		if !ok {
			loose++
			continue
		}
		classes[i] = name
	}
	if loose == len(files) {
		return nil, nil
	}
	if loose > 0 {
		return nil, fmt.Errorf("%d pictures lie beside the sub-folders that hold %d more: which class are they?", loose, len(files)-loose)
	}
	return number(files, classes), nil
}

// number labels files by the sorted names of their classes, which it returns.
func number(files []file, classes []string) []string {
	names := slices.Compact(slices.Sorted(slices.Values(classes)))
	for i := range files {
		files[i].label, _ = slices.BinarySearch(names, classes[i])
	}
	return names
}

// maxLabels bounds class numbers, from which names are made.
const maxLabels = 1 << 16

// fromEDM reads {"labels": [["00000/img00000000.png", 3], …]}, null for none, and "class_names" where Pack has written them.
func fromEDM(b []byte, files []file) (classes []string, done bool, err error) {
	var content struct {
		Labels [][2]any `json:"labels"`
		Names  []string `json:"class_names"`
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&content); err != nil {
		return nil, false, err
	}
	if len(content.Labels) == 0 {
		return nil, true, nil
	}
	labels, top := map[string]int{}, 0
	for i, pair := range content.Labels {
		name, ok1 := pair[0].(string)
		label, ok2 := pair[1].(float64)
		if !ok1 || !ok2 || label != float64(int(label)) || label < 0 || label >= maxLabels {
			return nil, false, fmt.Errorf("label %d is %v, not a file name and a class number", i, pair)
		}
		labels[name] = int(label)
		top = max(top, int(label))
	}
	for i := range files {
		label, ok := labels[files[i].name]
		if !ok {
			return nil, false, fmt.Errorf("no label for %s", files[i].name)
		}
		files[i].label = label
	}
	if len(content.Names) == 0 {
		return classNames("", top+1, 0, 0), true, nil
	}
	if top >= len(content.Names) {
		return nil, false, fmt.Errorf("label %d, but names for %d classes", top, len(content.Names))
	}
	return content.Names, true, nil
}

// fromHub reads a line of JSON a picture: {"file_name": "0001.png", "label": 3}, where the label is a number or a name. Lines
// without a label leave the classes to the folders.
func fromHub(b []byte, files []file) (classes []string, done bool, err error) {
	labels := map[string]any{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxEncoded)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var line struct {
			Name  string `json:"file_name"`
			Label any    `json:"label"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, false, fmt.Errorf("line %d: %w", n, err)
		}
		if line.Name == "" {
			return nil, false, fmt.Errorf("line %d has no file_name", n)
		}
		if line.Label != nil {
			labels[line.Name] = line.Label
		}
	}
	if err := lines.Err(); err != nil {
		return nil, false, err
	}
	if len(labels) == 0 {
		return nil, false, nil
	}
	return labelled(files, labels)
}

// labelled gives files the labels found under their names, which are all numbers or all words.
func labelled(files []file, labels map[string]any) ([]string, bool, error) {
	words, top := make([]string, len(files)), -1
	for i := range files {
		name := files[i].name
		switch v := labels[name].(type) {
		case nil:
			return nil, false, fmt.Errorf("no label for %s", name)
		case string:
			words[i] = v
		case float64:
			if v != float64(int(v)) || v < 0 || v >= maxLabels {
				return nil, false, fmt.Errorf("the label of %s is %v, not a class number", name, v)
			}
			files[i].label = int(v)
			top = max(top, int(v))
		default:
			return nil, false, fmt.Errorf("the label of %s is %v, neither a number nor a name", name, v)
		}
	}
	if top < 0 {
		return number(files, words), true, nil
	}
	if slices.ContainsFunc(words, func(s string) bool { return s != "" }) {
		return nil, false, errors.New("some labels are numbers, some are names")
	}
	return classNames("", top+1, 0, 0), true, nil
}
