package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/unet"
	"diffuse/zoo"
)

// archFlag adds --arch, which says about weights what their shapes do not.
func archFlag(c *cobra.Command, arch *string) {
	c.Flags().StringVar(arch, "arch", "", "architecture of weights of improved-diffusion, guided-diffusion or consistency_models: a name, or the `FLAGS` that they were trained with (default: what NAME.flags beside NAME.pt says, or the published network of these shapes)")
	c.RegisterFlagCompletionFunc("arch", completeWith(unet.OpenAIArchitectures()))
}

// hintArch tells how to say more about weights whose architecture is not clear.
func hintArch(err error) error {
	if !errors.Is(err, unet.ErrArchitecture) {
		return err
	}
	return withHint(err, "write the flags to a file NAME.flags beside NAME.pt, or convert with --arch, a name (%s) or the flags", strings.Join(unet.OpenAIArchitectures(), ", "))
}

// inspectOpenAI describes weights of OpenAI's programs: as a model if their architecture is clear, else by their arrays, with the reason.
func inspectOpenAI(path, arch, kind string, c *checkpoint.File) (*finding, error) {
	m, err := unet.LoadModelAs(path, arch)
	if errors.Is(err, unet.ErrArchitecture) {
		f := describeTensors(kind, c)
		f.fact("as a model", "%v", err)
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	return describeModel("OpenAI network ("+kind+")", m, c.Tensors), nil
}

// tensorTable lists tensors for people and for JSON, and counts their elements.
func tensorTable(names []string, tensors map[string]*checkpoint.Tensor) (table [][]string, list []map[string]any, elements int) {
	table = [][]string{{"array", "type", "shape"}}
	for _, name := range names {
		t := tensors[name]
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		elements += n
		table = append(table, []string{name, string(t.DType), fmt.Sprint(t.Shape)})
		list = append(list, map[string]any{"name": name, "dtype": t.DType, "shape": t.Shape})
	}
	return table, list, elements
}

// listTensors shows a model's tensors in place of its levels.
func (f *finding) listTensors(arg string) error {
	if f.arrays == nil {
		return usagef("--tensors: %s is a %s", arg, f.Kind)
	}
	if f.list != nil {
		f.table = f.list
	}
	if v, ok := f.value.(map[string]any); ok {
		v["arrays"] = f.arrays
	}
	return nil
}

// hash adds the SHA-256 of a file, an embedded model or the weights in a folder of diffusers; pictures name the first 12 digits of their model's.
func (f *finding) hash(arg string) error {
	info, err := os.Stat(arg)
	if e, embedded := zoo.Entries()[arg]; embedded {
		var b []byte
		b, err = e.Read()
		sum := sha256.Sum256(b)
		f.sha256 = hex.EncodeToString(sum[:])
	} else if err == nil && info.Mode().IsRegular() {
		f.sha256, err = fileHash(arg)
	} else if err == nil && unet.IsUNet2D(arg) {
		_, f.sha256, err = diffusersHash(arg)
	}
	if err == nil && f.sha256 != "" {
		f.fact("sha256", "%s", f.sha256)
	}
	return err
}
