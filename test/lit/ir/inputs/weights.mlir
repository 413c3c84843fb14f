module attributes {module.weight_file = "weights_of_a_test.npz"} {
}
