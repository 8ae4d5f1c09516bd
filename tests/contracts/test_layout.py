from assay.layout import RunFolder, policy_keys


def test_the_nearest_policy_is_looked_for_first() -> None:
    assert policy_keys("models/birds/7/model.tar.gz") == [
        "models/birds/7/assay.yaml",
        "models/birds/assay.yaml",
        "models/assay.yaml",
        "assay.yaml",
    ]


def test_nothing_in_a_runs_folder_looks_like_an_upload() -> None:
    folder = RunFolder("birds", "a" * 20)
    assert folder.archive == f"runs/birds/{'a' * 20}/input/model.tar.gz"
    assert not folder.archive.startswith("models/")
