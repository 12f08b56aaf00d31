"""`maxcos eval`: what each modality and each fusion is worth, by judged queries."""
