"""The fields that are shown."""

from test_montage import field_table

from brightpaint.report.figures import shown_fields


def test_fields_are_far_apart_and_of_different_perturbations_dmso_first():
    fields = field_table()
    chosen = shown_fields.choose_fields(fields, 3)
    assert fields.loc[chosen, "Metadata_Well"].tolist() == ["A02", "A06", "A04"]
    assert fields.loc[shown_fields.choose_fields(fields, 5), "Metadata_perturbation"].is_unique
    assert sorted(shown_fields.choose_fields(fields, 99)) == list(range(6))
    shuffled = fields.sample(frac=1, random_state=3).reset_index(drop=True)
    again = shuffled.loc[shown_fields.choose_fields(shuffled, 3), "Metadata_Well"].tolist()
    assert again == ["A02", "A06", "A04"]
