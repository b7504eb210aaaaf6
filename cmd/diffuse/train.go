package main

import "github.com/spf13/cobra"

func trainCommand(u *ui) *cobra.Command { return &cobra.Command{Use: "train"} }
