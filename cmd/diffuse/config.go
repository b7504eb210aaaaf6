package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"diffuse/checkpoint"
)

// A userConfig is what the tool remembers from one call to the next, in config.json of the folder diffuse in the user's configuration folder.
type userConfig struct {
	Inception string `json:"inception,omitempty"` // where the Inception network's weights are
}

func configPath() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "diffuse", "config.json"), err
}

// readConfig reads what is remembered; it is nothing where there is no file, or no place for one.
func readConfig() (userConfig, error) {
	var c userConfig
	path, err := configPath()
	if err != nil {
		return c, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = decodeStrict(b, &c)
	}
	if err != nil {
		return c, withHint(fmt.Errorf("settings in %s: %w", path, cause(err)), "it is safe to delete")
	}
	return c, nil
}

// rememberInception notes where the weights are, for calls that do not say. They have been of use already: that it cannot be written down is
// worth a word, and no failure.
func rememberInception(u *ui, weights string) {
	path, err := configPath()
	if err != nil {
		return
	}
	if weights, err = filepath.Abs(weights); err != nil {
		return
	}
	c, _ := readConfig() // what cannot be read is replaced
	if c.Inception == weights {
		return
	}
	c.Inception = weights
	text, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o777)
	}
	if err == nil {
		err = checkpoint.AtomicFile(path, func(w io.Writer) error {
			_, err := w.Write(append(text, '\n'))
			return err
		})
	}
	if err != nil {
		u.note("%s is not remembered: %v", weights, err)
		return
	}
	u.note("%s is remembered in %s: --features inception finds it from now on", weights, path)
}
