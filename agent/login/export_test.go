package login

func InputValueForTest(page []byte, name string) (string, bool) { return inputValue(page, name) }
